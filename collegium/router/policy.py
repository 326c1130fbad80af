"""Choose one expert from the forecasts: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from collegium.router.decision import Forecast

MS_PER_MINUTE = 60_000
SWITCH_GAIN = 0.1
"""A conversation changes its expert only for a gain in P(correct) above this."""


def tolerance(tradeoff: float) -> float:
    """How much P(correct) the caller gives up for money: 0 at 0, 0.25 at 5, all at 10.

    A calibrated router has tolerances of its own (`collegium/router/tradeoff.py`).
    """
    return (tradeoff / 10) ** 2


def choose(
    forecasts: Sequence[Forecast], *, tradeoff: float = 0.0, tolerated: float | None = None
) -> Forecast | None:
    """The cheapest feasible expert within the tolerance of the best; ties go to quality.

    `tolerated` takes the place of the trade-off's tolerance where a router was calibrated. None
    when no feasible expert has a known quality.
    """
    known = [f for f in forecasts if f.feasible and f.quality is not None]
    if not known:
        return None
    given_up = tolerance(tradeoff) if tolerated is None else tolerated
    floor = max(quality(f) for f in known) - given_up
    good_enough = [f for f in known if quality(f) >= floor]
    return min(good_enough, key=lambda f: (f.cost_usd, -quality(f), f.latency_ms))


def sooner(
    forecasts: Sequence[Forecast], chosen: Forecast, penalty: float, floor: float
) -> Forecast:
    """Whoever is worth most when a minute's wait for an engine costs `penalty` of P(correct).

    Only those count that cost no more money than the chosen one and, but for that one itself,
    are at least as good as `floor`; ties go to quality.
    """
    if not chosen.wait_ms or not penalty or chosen.quality is None:
        return chosen
    rivals = [
        f
        for f in forecasts
        if f.feasible and quality(f) >= max(floor, 0.0) and f.cost_usd <= chosen.cost_usd
    ]
    return max([chosen, *rivals], key=lambda f: (_worth(f, penalty), quality(f)))


def _worth(forecast: Forecast, penalty: float) -> float:
    return quality(forecast) - penalty * forecast.wait_ms / MS_PER_MINUTE


def keeps(previous: Forecast | None, best: Forecast) -> bool:
    """Whether a conversation stays with its expert, given the best one for the new query."""
    if previous is None or not previous.feasible or previous.quality is None:
        return False
    return quality(best) - previous.quality <= SWITCH_GAIN


def ranked(forecasts: Sequence[Forecast]) -> tuple[Forecast, ...]:
    """Feasible ones first, then by quality, then by cost."""
    return tuple(
        sorted(forecasts, key=lambda f: (not f.feasible, -quality(f), f.cost_usd, f.expert))
    )


def quality(forecast: Forecast) -> float:
    """The forecast's quality, with an unknown one below every known one."""
    return -1.0 if forecast.quality is None else forecast.quality
