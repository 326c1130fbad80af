"""Residency-aware routing on recorded outcomes, and its cost in quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from collegium.evals.core.bootstrap import Bootstrap, Interval
from collegium.evals.studies.residency.world import Arrival, Route
from collegium.router.decision import Forecast
from collegium.router.policy import choose, sooner


def by_worth(penalty: float) -> Route:
    """The router's own choice, where a minute's wait is worth `penalty` of P(correct)."""

    def route(arrival: Arrival, wait_s: Callable[[str], float]) -> str:
        assert arrival.forecasts is not None
        chosen = choose([_forecast(name, p) for name, p in arrival.forecasts.items()])
        assert chosen is not None
        if (wait := wait_s(chosen.expert)) == 0:
            return chosen.expert
        least = (chosen.quality or 0.0) - penalty * wait / 60
        found = [
            _forecast(name, p, wait_s(name)) for name, p in arrival.forecasts.items() if p >= least
        ]
        return sooner(found, _forecast(chosen.expert, chosen.quality, wait), penalty, 0.0).expert

    return route


def _forecast(name: str, quality: float | None, wait_s: float = 0.0) -> Forecast:
    wait_ms = 1000 * wait_s
    return Forecast(name, quality, 0.0, wait_ms, None, 1, wait_ms=wait_ms)


def quality_of(arrivals: Sequence[Arrival], engines: Sequence[str]) -> float | None:
    """Return the mean true quality of the answers; None without outcomes."""
    scores = [a.scores[name] for a, name in zip(arrivals, engines, strict=True) if a.scores]
    return float(np.nanmean(scores)) if scores else None


def difference(
    arrivals: Sequence[Arrival], engines: Sequence[str], *, seed: int = 0
) -> Interval | None:
    """Return mean quality less that of load-blind routing, with a paired 95 % interval.

    Resampled are the prompts, each with all requests that asked it; None without outcomes.
    """
    sums: dict[int, list[float]] = {}
    for arrival, name in zip(arrivals, engines, strict=True):
        if arrival.scores is not None:
            gained = arrival.scores[name] - arrival.scores[arrival.engine]
            if np.isfinite(gained):
                row = sums.setdefault(arrival.prompt, [0.0, 0.0])
                row[0] += gained
                row[1] += 1
    if not sums:
        return None
    return Bootstrap(np.array(list(sums.values())), seed=seed).interval(
        lambda means: means[..., 0] / means[..., 1]
    )
