"""The price of a dollar at which the best choices stay within a budget; 1 ms for 256 queries.

The least such price is the budget's shadow price. For one budget the linear program has this closed
form; a test compares it with HiGHS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def shadow_price(quality: Array, cost: Array, limit: float) -> float:
    """The least price at which the mean cost of the best experts is at most `limit`.

    `quality` and `cost` have shape (queries, experts), NaN where an expert can't be asked. Where
    not even the cheapest experts cost so little, the price at which all queries go to them.
    """
    quality = np.where(np.isfinite(cost), quality, np.nan)
    low, high = 0.0, _highest(quality, cost)
    if _mean_cost(quality, cost, low) <= limit:
        return 0.0
    if _mean_cost(quality, cost, high) > limit:
        return high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if _mean_cost(quality, cost, middle) <= limit:
            high = middle
        else:
            low = middle
    return high


def _mean_cost(quality: Array, cost: Array, price: float) -> float:
    """Return the mean cost; of equally good choices the cheapest counts."""
    worth = quality - price * cost
    best = worth >= np.nanmax(worth, axis=1, keepdims=True) - 1e-12
    return float(np.nanmin(np.where(best, cost, np.nan), axis=1).mean())


def _highest(quality: Array, cost: Array) -> float:
    """A price above which everybody asks the cheapest expert."""
    cheapest = np.nanargmin(np.where(np.isfinite(quality), cost, np.inf), axis=1)
    rows = np.arange(len(cost))
    more = cost - cost[rows, cheapest][:, None]
    gain = quality - quality[rows, cheapest][:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where((more > 0) & (gain > 0), gain / more, 0.0)
    return float(np.nanmax(worth)) * (1 + 1e-6)


def tables(rows: Sequence[Mapping[str, tuple[float, float]]]) -> tuple[Array, Array]:
    """Qualities and costs of shape (queries, experts), from each query's by expert's name."""
    names = {name: column for column, name in enumerate(sorted({n for row in rows for n in row}))}
    quality = np.full((len(rows), len(names)), np.nan)
    cost = np.full_like(quality, np.nan)
    for i, row in enumerate(rows):
        for name, (level, dollars) in row.items():
            quality[i, names[name]], cost[i, names[name]] = level, dollars
    return quality, cost
