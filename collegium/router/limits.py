"""Which forecasts the caller's limits allow, and what to say when they allow none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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
            found = "unknown" if value is None else f"{value:.4g} {unit}".strip()
            sign = "<" if floor else ">"
            return replace(forecast, feasible=False, note=f"{name}: {found} {sign} {limit:g}")
    return forecast


def infeasible(forecasts: Sequence[Forecast], limits: Limits) -> NoFeasibleExpert:
    """Say which limits bind and the nearest value that each would need."""
    needs = [_need(name, value_of, unit, floor, forecasts, limits)
             for name, value_of, unit, floor in _BOUNDS]  # fmt: skip
    notes = [f"{f.expert} ({f.note})" for f in forecasts if f.note]
    message = "No expert fits the limits. " + " ".join(filter(None, needs))
    if notes:
        message += " Refused: " + "; ".join(notes) + "."
    return NoFeasibleExpert(message.strip(), "routing")


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
    return (
        f"{name}={limit:g} leaves nobody; the nearest feasible is {nearest:.4g} {unit}".strip()
        + "."
    )
