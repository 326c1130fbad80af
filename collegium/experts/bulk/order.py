"""The order in which groups of bulk work run when their engines share memory.

Each group needs its engine loaded; engines that do not fit together take turns. Starting a group as
soon as its engine fits, in a given order, is list scheduling (Graham 1969); the order that ends
first is searched for among all orders of a few groups, and is longest-first for many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

MOST_TRIED = 6
"""All orders of up to this many groups are tried: 720, which takes some milliseconds."""


@dataclass(frozen=True, slots=True)
class Group:
    """The work for one engine: seconds to load it, seconds to answer, memory while it is loaded."""

    name: str
    work_s: float
    load_s: float = 0.0
    memory_gib: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each group begins, in seconds from now, and when the last one ends."""

    begins: Mapping[str, float]
    makespan_s: float

    @property
    def order(self) -> tuple[str, ...]:
        """The groups as they begin."""
        return tuple(sorted(self.begins, key=lambda name: self.begins[name]))


def best_schedule(
    groups: Sequence[Group], budget_gib: float, resident: Iterable[str] = ()
) -> Schedule:
    """The schedule with the least makespan found; resident engines need no load."""
    here = frozenset(resident)
    longest_first = sorted(
        groups, key=lambda g: (g.name not in here, -(g.load_s + g.work_s), g.name)
    )
    best = schedule(longest_first, budget_gib, here)
    if len(groups) <= MOST_TRIED:
        tried = (schedule(order, budget_gib, here) for order in permutations(longest_first))
        best = min((best, *tried), key=lambda s: s.makespan_s)
    return best


def schedule(order: Sequence[Group], budget_gib: float, resident: frozenset[str]) -> Schedule:
    """Start each group of the order as soon as its engine fits into the memory beside the others.

    A resident engine that waits for its turn keeps its memory only while nobody else needs it; it
    is loaded again when it was pushed out. An engine larger than the budget runs alone.
    """
    loaded = {g.name: g.memory_gib for g in order if g.name in resident}
    running: list[tuple[float, Group]] = []
    begins: dict[str, float] = {}
    now = 0.0
    for group in order:
        while running and not _fits(group, running, budget_gib):
            now, ended = min(running, key=lambda item: (item[0], item[1].name))
            running.remove((now, ended))
            loaded.pop(ended.name, None)
        load_s = 0.0 if group.name in loaded else group.load_s
        _push_out(loaded, group, running, budget_gib)
        begins[group.name] = now
        running.append((now + load_s + group.work_s, group))
    makespan = max((end for end, _ in running), default=0.0)
    return Schedule(begins, max(makespan, now))


def _fits(group: Group, running: Sequence[tuple[float, Group]], budget_gib: float) -> bool:
    return sum(g.memory_gib for _, g in running) + group.memory_gib <= budget_gib + 1e-9


def _push_out(
    loaded: dict[str, float],
    group: Group,
    running: Sequence[tuple[float, Group]],
    budget_gib: float,
) -> None:
    """Unload idle engines, the largest first, until the group's engine fits."""
    busy = {g.name for _, g in running}
    loaded[group.name] = group.memory_gib
    for name in sorted(loaded, key=lambda n: -loaded[n]):
        if sum(loaded.values()) <= budget_gib + 1e-9:
            return
        if name not in busy and name != group.name:
            del loaded[name]
