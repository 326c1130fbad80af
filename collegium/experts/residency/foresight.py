"""The default policy: swap once waiting has cost as much as the swap would, prefetch into free
memory.

What a swap costs is the waiting that it brings, in seconds of all requests together:

- The engine that goes has to come back, and whoever is forecast to ask for it meanwhile waits:
  `demand · away² / 2` (arrivals at a steady rate, each waiting for the rest of the time).
- One that still answers has to finish first, and for so long nothing is loaded: all who wait, or
  will ask meanwhile, for any absent engine wait so much longer. So a newcomer works off its queue
  while the next one loads into the place of one that is idle, as with two buffers.

A swap is made when those who wait for the newcomer have waited as long, as in ski rental. This is
the hysteresis: a hot engine is pushed out only by a queue that is worth it, and nothing takes turns
faster than its loads pay for.

How long an engine takes to finish is counted as one load. On Azure's code trace half of that and
twice it did alike, estimates from the answers under way somewhat worse, and not counting it was up
to a third worse at the 95th percentile (`docs/decisions/0013-a-swap-costs-the-idle-loader-too.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collegium.experts.residency.lru import to_fit
from collegium.experts.residency.view import Change, EngineView, View


@dataclass(frozen=True)
class Foresight:
    """`patience_s` bounds how long anybody waits for a load; deadlines count before that."""

    patience_s: float = 600.0

    def decide(self, view: View) -> Change | None:
        """Return the most urgent swap, otherwise the most beneficial one, otherwise a prefetch."""
        absent = view.in_phase("absent")
        options = [o for e in absent if (o := _option(view, e, absent)) is not None]
        wanted = [o for o in options if o.load.waiting]
        urgent = [o for o in wanted if self._late(view, o.load)]
        if urgent:
            return min(urgent, key=lambda o: (o.load.oldest or 0.0, o.load.name)).change
        paying = [o for o in wanted if o.gain >= 0]
        if paying:
            return max(paying, key=lambda o: (o.gain, o.load.name)).change
        if wanted:  # what waits comes before what may come
            return None
        likely = [o for o in options if o.load.demand > 0 and not o.evict]
        return max(likely, key=lambda o: (o.load.demand, o.load.name)).change if likely else None

    def _late(self, view: View, load: EngineView) -> bool:
        """Whether a deadline would be missed if the load didn't begin now."""
        ready = view.now + load.cost.load_s
        due = None if load.oldest is None else load.oldest + self.patience_s
        deadlines = [t for t in (due, load.deadline) if t is not None]
        return any(ready >= t for t in deadlines)


@dataclass(frozen=True)
class _Option:
    load: EngineView
    evict: tuple[str, ...]
    gain: float
    """Seconds that were waited for it, less those that the swap makes others wait."""

    @property
    def change(self) -> Change:
        return Change(self.load.name, self.evict)


def _option(view: View, load: EngineView, absent: Sequence[EngineView]) -> _Option | None:
    """Return what loading an engine would evict and gain; None if nothing makes room for it."""
    harms = {e.name: _harm(load, e, absent) for e in view.in_phase("resident")}
    order = sorted(view.in_phase("resident"), key=lambda e: (harms[e.name], e.last_used, e.name))
    evict = to_fit(view, load, order)
    if evict is None:
        return None
    return _Option(load, evict, load.waited_s - sum(harms[name] for name in evict))


def _harm(load: EngineView, gone: EngineView, absent: Sequence[EngineView]) -> float:
    """Seconds that others wait, all together, if one engine goes for another."""
    finish = gone.cost.load_s if gone.running else 0.0
    away = finish + gone.cost.unload_s + load.cost.load_s + gone.cost.load_s
    own = (gone.waiting + gone.demand * away / 2) * away
    return own + finish * sum(e.waiting + e.demand * away for e in absent)
