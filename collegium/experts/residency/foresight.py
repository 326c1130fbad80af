"""Our policy: swap when waiting has cost as much as the swap would, and prefetch into free room.

An engine that goes has to come back: whoever is forecast to ask for it meanwhile waits. That harm
is `demand · away² / 2` (arrivals at a steady rate, each waiting for the rest of the time), where
`away` is what loading the newcomer, answering its queue and loading the old one again takes. A swap
is made when the time already waited for the newcomer has grown to a share of the harm, as in ski
rental. This is the hysteresis: a hot engine is pushed out only by a queue that is worth it, and two
engines never take turns faster than their loads pay for.

Of 0.1, 0.25, 0.5, 1 and 2 the share 0.25 had the lowest 95th percentiles on Azure's code trace
(`docs/guides/many-experts-on-one-device.md`). Serving whoever waited longest first, counting
requests instead of their time, and bounding what one request counts for were no better there.
"""

from __future__ import annotations

from dataclasses import dataclass

from collegium.experts.residency.lru import to_fit
from collegium.experts.residency.view import Change, EngineView, View


@dataclass(frozen=True)
class Foresight:
    """`patience_s` bounds how long anybody waits for a load; deadlines count before that."""

    worth: float = 0.25
    """Swap when the waited time is so many times the harm."""
    patience_s: float = 600.0
    lead: float = 2.0
    """Prefetch without a queue only for a demand so many times that of the evicted."""

    def decide(self, view: View) -> Change | None:
        """The most urgent swap, else the one that pays most, else a prefetch."""
        options = [o for e in view.in_phase("absent") if (o := self._option(view, e)) is not None]
        wanted = [o for o in options if o.load.waiting]
        urgent = [o for o in wanted if self._late(view, o.load)]
        if urgent:
            return min(urgent, key=lambda o: (o.load.oldest or 0.0, o.load.name)).change
        paying = [o for o in wanted if o.load.waited_s >= self.worth * o.harm]
        if paying:
            return max(paying, key=lambda o: (o.load.waited_s - o.harm, o.load.name)).change
        if wanted:  # what waits comes before what may come
            return None
        return self._prefetch(options)

    def _option(self, view: View, load: EngineView) -> _Option | None:
        def harm(engine: EngineView) -> float:
            away = load.cost.load_s + engine.cost.unload_s + engine.cost.load_s
            return (engine.waiting + engine.demand * away / 2) * away

        order = sorted(view.in_phase("resident"), key=lambda e: (harm(e), e.last_used, e.name))
        evict = to_fit(view, load, order)
        if evict is None:
            return None
        gone = [view.engines[name] for name in evict]
        return _Option(load, evict, sum(map(harm, gone)), sum(e.demand for e in gone))

    def _late(self, view: View, load: EngineView) -> bool:
        """Whether somebody's patience or deadline ends if the load does not begin now."""
        ready = view.now + load.cost.load_s
        due = None if load.oldest is None else load.oldest + self.patience_s
        deadlines = [t for t in (due, load.deadline) if t is not None]
        return any(ready >= t for t in deadlines)

    def _prefetch(self, options: list[_Option]) -> Change | None:
        """Into free room whatever is forecast; into taken room what is asked for far more."""
        better = [
            o
            for o in options
            if o.load.demand > 0 and (not o.evict or o.load.demand > self.lead * o.lost)
        ]
        if not better:
            return None
        return max(better, key=lambda o: (o.load.demand - o.lost, o.load.name)).change


@dataclass(frozen=True)
class _Option:
    load: EngineView
    evict: tuple[str, ...]
    harm: float
    lost: float
    """Demand of the evicted, requests a second."""

    @property
    def change(self) -> Change:
        return Change(self.load.name, self.evict)
