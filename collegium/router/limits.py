"""Apply the caller's limits to forecasts, and explain it if they exclude every expert."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

from msgspec.structs import replace

from collegium.errors import ExpertBusy, NoFeasibleExpert
from collegium.router.decision import Forecast, Limits


@dataclass(frozen=True)
class _Bound:
    """One kind of limit: an upper or lower bound of a value in a forecast."""

    name: str
    value: Callable[[Forecast], float | None]
    unit: str
    floor: bool = False
    remedy: str = ""
    """The remedy if the value is unknown."""

    def limit(self, limits: Limits) -> float | None:
        """Return the caller's limit; None for no limit."""
        limit: float | None = getattr(limits, self.name)
        return limit

    def excess(self, forecast: Forecast, limits: Limits) -> float | None:
        """Return by how much a forecast violates the limit, 0 if it doesn't, None if unknown."""
        limit, value = self.limit(limits), self.value(forecast)
        if limit is None:
            return 0.0
        if value is None:
            return None
        return max(limit - value if self.floor else value - limit, 0.0)

    def fits(self, forecast: Forecast, limits: Limits) -> bool:
        """Whether a forecast is known to keep the limit."""
        return self.excess(forecast, limits) == 0

    def nearest(self, forecasts: Sequence[Forecast]) -> float | None:
        """The tightest limit that one of them keeps."""
        values = [v for f in forecasts if (v := self.value(f)) is not None]
        return (max if self.floor else min)(values, default=None)

    def shown(self, value: float) -> str:
        """A value with its unit, rounded so that it is a limit that the value keeps."""
        return f"{_rounded(value, self.floor)} {self.unit}".strip()


STATE_PRICES = (
    "; set its price with `collegium expert update NAME --input-price … --output-price …`"
)
_BOUNDS = (
    _Bound("max_cost_usd", lambda f: f.most_usd, "USD", remedy=STATE_PRICES),
    _Bound("max_latency_ms", lambda f: f.latency_ms, "ms"),
    _Bound("max_energy_j", lambda f: f.energy_j, "J"),
    _Bound("min_quality", lambda f: f.quality, "", floor=True),
)


def mark(forecasts: Sequence[Forecast], limits: Limits) -> tuple[Forecast, ...]:
    """Mark what breaks a limit as not feasible, and note which one. Unknown values break limits."""
    if not _set(limits):
        return tuple(forecasts)
    return tuple(_marked(forecast, limits) for forecast in forecasts)


def _marked(forecast: Forecast, limits: Limits) -> Forecast:
    for bound in _BOUNDS:
        if forecast.feasible and not bound.fits(forecast, limits):
            return replace(forecast, feasible=False, note=_broken(bound, forecast, limits))
    return forecast


def _broken(bound: _Bound, forecast: Forecast, limits: Limits) -> str:
    value = bound.value(forecast)
    if value is None:
        return f"{bound.name}: unknown{bound.remedy}"
    sign = "<" if bound.floor else ">"
    words = f"{bound.name}: {bound.shown(value)} {sign} {bound.limit(limits):g}"
    if bound.name == "max_latency_ms" and forecast.wait_ms:
        words += f", {forecast.wait_ms / 1000:.0f} s of it until its engine is loaded"
    return words


def too_busy(
    idle: Sequence[Forecast], now: Sequence[Forecast], limits: Limits
) -> ExpertBusy | None:
    """Return the error if an expert would satisfy the limits without load; otherwise None.

    `idle` has the marked forecasts, without load, of those who may be asked.
    """
    now_ms = {f.expert: f.latency_ms for f in now}
    wait_ms = {f.expert: f.wait_ms for f in now}
    fitting = [f.expert for f in idle if f.feasible]
    if not fitting:
        return None
    soonest = min(fitting, key=lambda name: (now_ms[name], name))
    late_ms = now_ms[soonest] - (limits.max_latency_ms or now_ms[soonest])
    words = "it keeps the request's limits only when it has less to do"
    if wait_ms[soonest]:
        words = (
            "it keeps the request's limits only when its engine is loaded, which it would be in "
            f"about {wait_ms[soonest] / 1000:.0f} s for a request with more time"
        )
    return ExpertBusy(soonest, words, max(1, math.ceil(late_ms / 1000)))


def infeasible(
    forecasts: Sequence[Forecast], limits: Limits, excluded: str = ""
) -> NoFeasibleExpert:
    """Say which limits bind, alone or together, the nearest value of each and the nearest expert.

    What is not feasible for another reason than a limit is nobody's nearest. `excluded` says who
    could not answer with any limits.
    """
    known = _held_back_by_limits(forecasts) or forecasts
    needs = _alone(known, limits) or _together(known, limits)
    notes = [f"{f.expert} ({f.note})" for f in forecasts if f.note]
    refused = f"Refused: {'; '.join(notes)}." if notes else ""
    left_out = f"Left out: {excluded}." if excluded else ""
    words = ["No expert fits the limits.", *needs, _nearest_expert(known, limits), refused]
    words.append(left_out)
    return NoFeasibleExpert(" ".join(filter(None, words)), "routing")


def _held_back_by_limits(forecasts: Sequence[Forecast]) -> list[Forecast]:
    limits = tuple(f"{bound.name}:" for bound in _BOUNDS)
    return [f for f in forecasts if f.feasible or f.note.startswith(limits)]


def _alone(forecasts: Sequence[Forecast], limits: Limits) -> list[str]:
    """Return the limits that no expert satisfies, each with the nearest value that one would."""
    return [
        f"{b.name}={b.limit(limits):g} leaves nobody; the nearest feasible is {b.shown(nearest)}."
        for b in _set(limits)
        if (nearest := b.nearest(forecasts)) is not None
        and not any(b.fits(f, limits) for f in forecasts)
    ]


def _together(forecasts: Sequence[Forecast], limits: Limits) -> list[str]:
    """What each limit would have to be if the others hold, when only their combination fails."""
    needs = []
    for bound in _set(limits):
        others = [b for b in _set(limits) if b is not bound]
        able = [f for f in forecasts if all(b.fits(f, limits) for b in others)]
        nearest = bound.nearest(able)
        if others and nearest is not None:
            held = " and ".join(f"{b.name}={b.limit(limits):g}" for b in others)
            needs.append(f"With {held}, {bound.name} needs {bound.shown(nearest)}.")
    return ["Each limit can be kept, not all together.", *needs] if needs else []


def _nearest_expert(forecasts: Sequence[Forecast], limits: Limits) -> str:
    """Return the expert that needs the least relaxation, and the limits that would admit it."""
    distances = {f: d for f in forecasts if (d := _distance(f, limits)) is not None}
    nearest = min(distances, key=lambda f: (distances[f], f.expert), default=None)
    if nearest is None or distances[nearest] == 0:
        return ""
    relaxed = [
        f"{b.name}={_rounded(value, b.floor)}"
        for b in _set(limits)
        if not b.fits(nearest, limits) and (value := b.value(nearest)) is not None
    ]
    return f"The nearest expert is {nearest.expert}, which needs {' and '.join(relaxed)}."


def _distance(forecast: Forecast, limits: Limits) -> float | None:
    total = 0.0
    for bound in _set(limits):
        excess, limit = bound.excess(forecast, limits), bound.limit(limits)
        if excess is None or limit is None:
            return None
        total += excess / max(limit, 1e-9)
    return total


def _set(limits: Limits) -> list[_Bound]:
    return [bound for bound in _BOUNDS if bound.limit(limits) is not None]


def _rounded(value: float, floor: bool) -> str:
    """Four digits, rounded so that a limit of just this value does let the forecast pass."""
    down_or_up = Context(prec=4, rounding=ROUND_FLOOR if floor else ROUND_CEILING)
    return f"{float(down_or_up.create_decimal(repr(float(value)))):g}"
