"""
Placement as an integer program, solved exactly by HiGHS (`scipy.optimize.milp`).

Each engine chooses at most one *way*: a tensor-parallel degree t, a kind of card, and whether it is
resident or takes turns. For every way w of every engine there is

    x[w]     in {0, 1}   the engine goes this way
    z[w, c]  in {0, 1}   ... and has card c of that kind:  sum over c of z[w, c] = t[w] * x[w]

and for every card c, with room[c] for the largest engine that takes turns on it,

    sum over resident w of gib[w] * z[w, c]  +  sum over the others of asleep[w] * z[w, c]
        +  room[c]  <=  usable[c],        (gib[w] - asleep[w]) * z[w, c] <= room[c].

Goals are met one after the other, each without giving up what the earlier ones reached:
1. the most requests are served at all, 2. the most of them by resident engines, 3. the fewest GiB
of weights are moved, 4. the fewest cards have parts of engines, 5. the busiest card computes the
least, 6. the fullest card is the least full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from collegium.experts.placement.plan import (
    ASLEEP_GIB,
    Card,
    Need,
    Placement,
    Plan,
    left_by,
    placement,
)

SLACK = 1e-6
"""In GiB, and relative to a goal: a floating-point solver treats closer values as equal."""
MOST_SLACK = 0.1
"""An engine's weight is at least 1, so the slack of a goal has to stay below that."""
LONGEST_S = 20.0
"""Time limit for each goal. Ten engines on eight cards take a fraction of it."""

Terms = Mapping[int, float]
"""A linear expression: the coefficient of each variable."""


@dataclass(frozen=True)
class Way:
    """One way in which an engine could run, and its variables."""

    need: Need
    degree: int
    resident: bool
    x: int
    z: dict[int, int]
    """The variable of each card."""

    @property
    def gib(self) -> float:
        """Memory on each of its cards."""
        return self.need.gib_on(self.degree)

    @property
    def asleep_gib(self) -> float:
        """Memory on each of its cards while another engine that takes turns is loaded."""
        return ASLEEP_GIB if self.need.sleep_level and not self.resident else 0.0


def solve(needs: Sequence[Need], cards: Sequence[Card], *, longest_s: float = LONGEST_S) -> Plan:
    """Return the best plan, which also names the engines that do not fit."""
    program = Program(needs, cards)
    values, optimal = program.solved(longest_s)
    placements = tuple(program.placements(values))
    if not any(need.now or need.cards for need in needs):
        placements = side_by_side(placements, cards)
    placed = {p.engine: p for p in placements}
    moved = [n.name for n in needs if n.now and n.name in placed and placed[n.name].cards != n.now]
    unplaced = {n.name: why_not(n, cards) for n in needs if n.name not in placed}
    left = left_by(placements, needs, cards)
    return Plan(placements, left, unplaced, tuple(moved), optimal)


def side_by_side(placements: Sequence[Placement], cards: Sequence[Card]) -> tuple[Placement, ...]:
    """Exchange cards of a kind so that the cards of an engine are neighbours.

    Neighbours usually have the best connection, and the solver does not distinguish equal cards.
    """
    here = {
        card.index: sorted((-len(p.cards), p.engine) for p in placements if card.index in p.cards)
        for card in cards
    }
    # An empty card comes last of its kind.
    new: dict[int, int] = {}
    for kind in {(c.kind, c.memory_gib) for c in cards}:
        alike = [c.index for c in cards if (c.kind, c.memory_gib) == kind]
        ordered = sorted(alike, key=lambda index: (not here[index], here[index], index))
        new |= dict(zip(ordered, alike, strict=True))
    return tuple(replace(p, cards=tuple(sorted(new[c] for c in p.cards))) for p in placements)


def why_not(need: Need, cards: Sequence[Card]) -> str:
    """Say in words why an engine has no place."""
    most = len(cards)
    ways = need.degrees(most)
    if not ways:
        heads, kv = need.checkpoint.heads, need.checkpoint.kv_heads
        asked = need.degree or len(need.cards or ())
        if asked > most:
            return f"it is to run on {asked} cards, and there are {most}"
        return f"its {heads} attention heads and {kv} KV heads can't be split over {asked} card(s)"
    degree = min(ways, key=need.gib_on)
    gib = need.gib_on(degree)
    roomy = sorted((card.usable_gib for card in cards), reverse=True)
    if gib > roomy[min(degree, most) - 1]:
        return (
            f"it takes {gib:.1f} GiB of each of {degree} card(s), which have "
            f"{roomy[min(degree, most) - 1]:.1f} GiB for engines"
        )
    return f"it takes {gib:.1f} GiB of each of {degree} card(s), and others are asked more"


class Program:
    """The variables, constraints and goals of one placement."""

    def __init__(self, needs: Sequence[Need], cards: Sequence[Card]) -> None:
        self.needs, self.cards = needs, cards
        self.size = 0
        self.ways = [way for need in needs for way in self._ways(need)]
        self.room = {card.index: self._variable() for card in cards}
        self.stays = {n.name: self._variable() for n in needs if n.now}
        self.busiest, self.fullest = self._variable(), self._variable()
        self._rows: list[Terms] = []
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._constrain()

    def solved(self, longest_s: float) -> tuple[np.ndarray, bool]:
        """Return the best values of all variables, and whether they are proven to be optimal."""
        values, optimal = np.zeros(self.size), True
        for goal in self._goals:
            if not goal:
                continue
            values, proved = self._minimise(goal, longest_s, values)
            optimal = optimal and proved
            reached = sum(factor * values[i] for i, factor in goal.items())
            self._row(goal, upper=reached + min(SLACK * max(1.0, abs(reached)), MOST_SLACK))
        return values, optimal

    def placements(self, values: np.ndarray) -> Iterator[Placement]:
        """Convert the values to a plan."""
        by_index = {card.index: card for card in self.cards}
        for way in self.ways:
            if values[way.x] > 0.5:
                chosen = [by_index[c] for c, z in sorted(way.z.items()) if values[z] > 0.5]
                yield placement(way.need, chosen, resident=way.resident)

    def _ways(self, need: Need) -> Iterator[Way]:
        allowed = [c for c in self.cards if need.cards is None or c.index in need.cards]
        for kind in sorted({(c.kind, c.memory_gib) for c in allowed}):
            alike = [c for c in allowed if (c.kind, c.memory_gib) == kind]
            for degree in need.degrees(len(alike)):
                if need.gib_on(degree) > alike[0].usable_gib:
                    continue
                for resident in (True,) if need.always else (True, False):
                    x = self._variable()
                    z = {c.index: self._variable() for c in alike}
                    yield Way(need, degree, resident, x, z)

    def _variable(self) -> int:
        self.size += 1
        return self.size - 1

    def _row(self, terms: Terms, *, lower: float = -np.inf, upper: float = np.inf) -> None:
        self._rows.append(terms)
        self._lower.append(lower)
        self._upper.append(upper)

    def _constrain(self) -> None:
        for need in self.needs:
            if not self._of(need):
                continue
            least = 1.0 if need.kept else 0.0
            self._row({w.x: 1.0 for w in self._of(need)}, lower=least, upper=1.0)
        for way in self.ways:
            cards = dict.fromkeys(way.z.values(), 1.0)
            self._row({**cards, way.x: -float(way.degree)}, lower=0.0, upper=0.0)
        for card in self.cards:
            self._constrain_card(card)
        for need in self.needs:
            if need.now:
                self._constrain_move(need)

    def _constrain_card(self, card: Card) -> None:
        room, here = self.room[card.index], [w for w in self.ways if card.index in w.z]
        kept = {w.z[card.index]: w.gib if w.resident else w.asleep_gib for w in here}
        full = {**kept, room: 1.0}
        self._row(full, upper=card.usable_gib)
        self._row({**full, self.fullest: -card.usable_gib}, upper=0.0)
        self._row(
            {**{w.z[card.index]: w.need.work_on(w.degree) for w in here}, self.busiest: -1.0},
            upper=0.0,
        )
        for way in here:
            if not way.resident:
                needed = way.gib - way.asleep_gib
                self._row({way.z[card.index]: needed, room: -1.0}, upper=0.0)

    def _constrain_move(self, need: Need) -> None:
        """An engine stays if it has as many cards as before, and exactly these."""
        stays, same = (
            self.stays[need.name],
            [w for w in self._of(need) if w.degree == len(need.now)],
        )
        for index in need.now:
            on_it = {w.z[index]: -1.0 for w in same if index in w.z}
            self._row({stays: 1.0, **on_it}, upper=0.0)

    def _of(self, need: Need) -> list[Way]:
        return [way for way in self.ways if way.need is need]

    @property
    def _goals(self) -> tuple[Terms, ...]:
        return (
            {w.x: -w.need.weight for w in self.ways},
            {w.x: -w.need.weight for w in self.ways if w.resident},
            {self.stays[n.name]: -n.checkpoint.weights_gib for n in self.needs if n.now},
            {w.x: float(w.degree) for w in self.ways},
            {self.busiest: 1.0},
            {self.fullest: 1.0},
        )

    def _minimise(self, goal: Terms, longest_s: float, last: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return the values that meet a goal best; the previous ones if the time limit was too
        short."""
        costs = np.zeros(self.size)
        costs[list(goal)] = list(goal.values())
        found = milp(
            costs,
            integrality=self._integral,
            bounds=Bounds(0, np.where(self._integral, 1.0, np.inf)),
            constraints=LinearConstraint(self._matrix(), self._lower, self._upper),
            options={"time_limit": longest_s, "mip_rel_gap": 0.0},
        )
        if found.x is None:
            return last, False
        return found.x, bool(found.status == 0)

    def _matrix(self) -> coo_array:
        entries = [(i, j, value) for i, row in enumerate(self._rows) for j, value in row.items()]
        rows, columns, values = zip(*entries, strict=True)
        return coo_array((values, (rows, columns)), shape=(len(self._rows), self.size))

    @cached_property
    def _integral(self) -> np.ndarray:
        whole = np.zeros(self.size)
        for way in self.ways:
            whole[[way.x, *way.z.values()]] = 1
        return whole
