"""Which forecasts the caller's limits allow, and what to say when they allow none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

from collegium.errors import NoFeasibleExpert
from collegium.router.decision import Forecast, Limits

# For each limit: its name, the forecast's value, the unit, and whether the limit is a floor.
_BOUNDS: tuple[tuple[str, Callable[[Forecast], float | None], str, bool], ...] = (
    ("max_cost_usd", lambda f: f.cost_usd, "USD", False),
    ("max_latency_ms", lambda f: f.latency_ms, "ms", False),
    ("max_energy_j", lambda f: f.energy_j, "J", False),
    ("min_quality", lambda f: f.quality, "", True),
)


def mark(forecasts: Sequence[Forecast], limits: Limits) -> tuple[Forecast, ...]:
    """Mark what breaks a limit as not feasible, and note which one. Unknown values break limits."""
    return tuple(_marked(forecast, limits) for forecast in forecasts)


def _marked(forecast: Forecast, limits: Limits) -> Forecast:
    for name, value_of, unit, floor in _BOUNDS:
        limit = getattr(limits, name)
        if limit is None or not forecast.feasible:
            continue
        value = value_of(forecast)
        if value is None or (value < limit if floor else value > limit):
            return replace(forecast, feasible=False, note=_broken(name, value, unit, floor, limit))
    return forecast


def _broken(name: str, value: float | None, unit: str, floor: bool, limit: float) -> str:
    if value is None:
        return f"{name}: unknown"
    found = f"{_rounded(value, floor)} {unit}".strip()
    return f"{name}: {found} {'<' if floor else '>'} {limit:g}"


def infeasible(forecasts: Sequence[Forecast], limits: Limits) -> NoFeasibleExpert:
    """Say which limits bind and the nearest value that each would need."""
    needs = [_need(name, value_of, unit, floor, forecasts, limits)
             for name, value_of, unit, floor in _BOUNDS]  # fmt: skip
    notes = [f"{f.expert} ({f.note})" for f in forecasts if f.note]
    refused = f"Refused: {'; '.join(notes)}." if notes else ""
    words = filter(None, ["No expert fits the limits.", *needs, refused])
    return NoFeasibleExpert(" ".join(words), "routing")


def _need(
    name: str,
    value_of: Callable[[Forecast], float | None],
    unit: str,
    floor: bool,
    forecasts: Sequence[Forecast],
    limits: Limits,
) -> str:
    limit = getattr(limits, name)
    values = [v for f in forecasts if (v := value_of(f)) is not None]
    if limit is None or not values:
        return ""
    nearest = max(values) if floor else min(values)
    if nearest >= limit if floor else nearest <= limit:
        return ""
    words = f"{name}={limit:g} leaves nobody; the nearest feasible is {_rounded(nearest, floor)}"
    return f"{words} {unit}".strip() + "."


def _rounded(value: float, floor: bool) -> str:
    """Four digits, rounded so that a limit of just this value does let the forecast pass."""
    down_or_up = Context(prec=4, rounding=ROUND_FLOOR if floor else ROUND_CEILING)
    return f"{float(down_or_up.create_decimal(repr(float(value)))):g}"
