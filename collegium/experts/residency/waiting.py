"""Forecast how long a request would wait until its engine is loaded.

The policy itself is asked what it would do. The change under way ends; then what it decides is
carried out, one load after another, until the engine in question is loaded. Meanwhile as many ask
for each engine as are forecast, and engines that are loaded answer at once.
"""

from __future__ import annotations

import math
from dataclasses import replace

from collegium.experts.residency.view import Change, EngineView, Policy, View

LOOK_S = 10.0
"""Interval at which a policy that waits is asked again; 5 and 15 s gave the same results."""
MOST_LOOKS = 200


def forecast_s(view: View, policy: Policy, name: str, by: float | None = None) -> float:
    """Return the seconds until an engine would be loaded for a new request; 0 if it is loaded.

    `by` is the asking one's own deadline, which a policy may heed.
    """
    if view.engines[name].phase == "resident":
        return 0.0
    came, view = view.now, _asked(view, name, by)
    for _ in range(MOST_LOOKS):
        change = view.change or policy.decide(view)
        view = _later(view, _look_s(view)) if change is None else _carried_out(view, change)
        if view.engines[name].phase == "resident":
            break
    return view.now - came


def _asked(view: View, name: str, by: float | None) -> View:
    """The device when one more waits for an engine."""
    engine = view.engines[name]
    oldest = view.now if engine.oldest is None else engine.oldest
    deadline = min((t for t in (engine.deadline, by) if t is not None), default=None)
    asked = replace(engine, waiting=engine.waiting + 1, oldest=oldest, deadline=deadline)
    return replace(view, engines={**view.engines, name: asked})


def _look_s(view: View) -> float:
    """Until the policy is asked again: not later than the last moment for a deadline's load."""
    dated = [(e.deadline, e.cost.load_s) for e in view.in_phase("absent")]
    latest = [deadline - load_s - view.now for deadline, load_s in dated if deadline is not None]
    return min([LOOK_S, *(s for s in latest if s > 0)])


def _carried_out(view: View, change: Change) -> View:
    """Return the state of the device after a change has been carried out."""
    coming = view.engines[change.load]
    if coming.phase == "loading":
        takes_s = max(0.0, coming.since + coming.cost.load_s - view.now)
    else:
        unloads = [view.engines[name].cost.unload_s for name in change.evict]
        takes_s = max(unloads, default=0.0) + coming.cost.load_s
    view = _later(view, takes_s)
    gone = {e.name: replace(e, phase="absent") for e in _leaving(view, change)}
    come = replace(
        view.engines[change.load],
        phase="resident",
        waiting=0.0,
        waited_s=0.0,
        oldest=None,
        deadline=None,
        last_used=view.now,
    )
    return replace(view, engines={**view.engines, **gone, change.load: come}, change=None)


def _leaving(view: View, change: Change) -> list[EngineView]:
    going = ("leaving", "unloading")
    return [e for e in view.engines.values() if e.name in change.evict or e.phase in going]


def _later(view: View, seconds: float) -> View:
    """The device when nothing has been loaded for a while."""
    engines = {name: _waited(e, view.now, seconds) for name, e in view.engines.items()}
    return replace(view, now=view.now + seconds, engines=engines)


def _waited(engine: EngineView, now: float, seconds: float) -> EngineView:
    """Loaded engines have drained their queues by then; the others have received the forecast
    requests.
    """
    usual_s = 1 / engine.demand if engine.demand else math.inf
    if engine.phase == "resident":
        used = max(engine.last_used, now + seconds - usual_s)
        return replace(engine, running=0, last_used=used)
    first = now + usual_s if engine.oldest is None and usual_s <= seconds else engine.oldest
    come = engine.demand * seconds
    waited_s = engine.waited_s + (engine.waiting + come / 2) * seconds
    waiting = engine.waiting + come
    return replace(engine, running=0, waiting=waiting, waited_s=waited_s, oldest=first)
