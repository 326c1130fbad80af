"""The baseline: load what has waited longest, evict what was used longest ago."""

from __future__ import annotations

from collegium.experts.residency.view import Change, EngineView, View

EPSILON = 1e-9


class Lru:
    """Least recently used, as a cache does it, on demand only."""

    def decide(self, view: View) -> Change | None:
        """Load the engine of the request that has waited longest and has none."""
        wanted = [e for e in view.in_phase("absent") if e.oldest is not None]
        if not wanted:
            return None
        load = min(wanted, key=lambda e: (e.oldest or 0.0, e.name))
        order = sorted(view.in_phase("resident"), key=lambda e: (e.last_used, e.name))
        evict = to_fit(view, load, order)
        return None if evict is None else Change(load.name, evict)


def to_fit(view: View, load: EngineView, order: list[EngineView]) -> tuple[str, ...] | None:
    """The first engines of the order that must go so that one fits; None when all are too few."""
    room = view.budget_gib - view.used_gib()
    gone = []
    for engine in order:
        if room + EPSILON >= load.cost.memory_gib:
            break
        room += engine.cost.memory_gib
        gone.append(engine.name)
    return tuple(gone) if room + EPSILON >= load.cost.memory_gib else None
