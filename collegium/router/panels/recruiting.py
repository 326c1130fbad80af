"""Choose the members of a panel for skill and for diverse errors.

A second expert that is wrong where the first one is adds cost and nothing else. How often two are
wrong together is measured: the correlation of their outcomes on recorded queries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from collegium.router.decision import Forecast
from collegium.router.policy import cost, quality

Correlation = Callable[[str, str], float]
"""Returns the correlation of two experts' outcomes, by name; 0 if it wasn't measured."""
DIVERSITY = 0.5
"""The weight of being correct where the others are wrong, relative to being correct at all."""


def independent(one: str, other: str) -> float:
    """Assume that experts without joint measurements are independent."""
    return 0.0


def recruit(
    forecasts: Sequence[Forecast],
    k: int,
    *,
    correlation: Correlation = independent,
) -> tuple[Forecast, ...]:
    """Return up to k feasible forecasts, greedily by what each one adds to the panel.

    Experts whose chance nobody knows come last, cheapest first.
    """
    left = sorted(
        (f for f in forecasts if f.feasible), key=lambda f: (-quality(f), cost(f), f.expert)
    )
    chosen: list[Forecast] = left[:1]
    left = left[1:]
    while left and len(chosen) < k:
        best = max(left, key=lambda f: _value(f, chosen, correlation))  # first of equals
        chosen.append(best)
        left.remove(best)
    return tuple(chosen)


def _value(candidate: Forecast, chosen: Sequence[Forecast], correlation: Correlation) -> float:
    if candidate.quality is None:
        return -1.0
    added = min(right_alone(candidate, other, correlation) for other in chosen)
    return (1 - DIVERSITY) * candidate.quality + DIVERSITY * added


def right_alone(one: Forecast, other: Forecast, correlation: Correlation) -> float:
    """P(one is right and the other wrong), from both chances and their outcomes' correlation."""
    p, q = one.quality or 0.0, other.quality or 0.0
    joint = p * q + correlation(one.expert, other.expert) * math.sqrt(p * (1 - p) * q * (1 - q))
    return p - min(max(joint, p + q - 1, 0.0), p, q)
