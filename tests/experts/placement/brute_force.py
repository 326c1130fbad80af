"""Every plan there is, for small cases: what the solver is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from collegium.experts.placement.plan import Card, Need, Placement, placement, taken

TINY = 1e-9


def goals(
    placements: Sequence[Placement], needs: Sequence[Need], cards: Sequence[Card]
) -> tuple[float, ...]:
    """What the plan reaches of each goal, all to be minimised, in their order."""
    by_name = {need.name: need for need in needs}
    sleepers = {need.name for need in needs if need.sleep_level}

    def work(card: Card) -> float:
        return sum(
            by_name[p.engine].work_on(len(p.cards)) for p in placements if card.index in p.cards
        )

    stays = [by_name[p.engine] for p in placements if p.cards == by_name[p.engine].now]
    return (
        -sum(by_name[p.engine].weight for p in placements),
        -sum(by_name[p.engine].weight for p in placements if p.resident),
        -sum(need.checkpoint.weights_gib for need in stays),
        float(sum(len(p.cards) for p in placements)),
        max(work(card) for card in cards),
        max(taken(card, placements, sleepers) / card.usable_gib for card in cards),
    )


def best(needs: Sequence[Need], cards: Sequence[Card]) -> tuple[float, ...]:
    """The goals of the best plan of all."""
    sleepers = {need.name for need in needs if need.sleep_level}
    found = []
    for chosen in product(*(list(_choices(need, cards)) for need in needs)):
        placements = [p for p in chosen if p is not None]
        if all(taken(c, placements, sleepers) <= c.usable_gib + TINY for c in cards):
            found.append(goals(placements, needs, cards))
    return min(found, key=lambda values: tuple(round(v, 6) for v in values))


def _choices(need: Need, cards: Sequence[Card]) -> Iterator[Placement | None]:
    yield None
    allowed = [c for c in cards if need.cards is None or c.index in need.cards]
    for degree in need.degrees(len(allowed)):
        for some in combinations(allowed, degree):
            if len({(c.kind, c.memory_gib) for c in some}) == 1:
                yield placement(need, some, resident=True)
                if not need.always:
                    yield placement(need, some, resident=False)
