"""The baseline policy: load for the longest wait, evict the least recently used."""

from __future__ import annotations

from collections.abc import Mapping

from collegium.experts.residency.view import Change, EngineCost, EngineView, View

EPSILON = 1e-9


class Lru:
    """Least recently used, as a cache does it, on demand only."""

    def decide(self, view: View) -> Change | None:
        """Load the engine of the request that has waited longest without one."""
        wanted = [e for e in view.in_phase("absent") if e.oldest is not None]
        if not wanted:
            return None
        load = min(wanted, key=lambda e: (e.oldest or 0.0, e.name))
        order = sorted(view.in_phase("resident"), key=lambda e: (e.last_used, e.name))
        evict = to_fit(view, load, order)
        return None if evict is None else Change(load.name, evict)


def to_fit(view: View, load: EngineView, order: list[EngineView]) -> tuple[str, ...] | None:
    """The first engines of the order that must go so that one fits; None when all are too few."""
    free, gone = view.free_gib(), []
    for engine in order:
        lacking = cards_lacking(free, load.cost)
        if not lacking:
            break
        if lacking.isdisjoint(engine.cost.cards):
            continue
        for card in engine.cost.cards:
            free[card] += engine.cost.memory_gib
        gone.append(engine.name)
    return None if cards_lacking(free, load.cost) else tuple(gone)


def cards_lacking(free_gib: Mapping[int, float], cost: EngineCost) -> set[int]:
    """The cards that have too little free memory for an engine."""
    return {c for c in cost.cards if free_gib.get(c, 0.0) + EPSILON < cost.memory_gib}
