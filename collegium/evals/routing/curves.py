"""AIQ: the average quality over a range of cost.

RouterBench (arXiv 2403.12031): the mean height of the non-decreasing convex hull of a router's
(cost, quality) points. Their code integrates from each router's own cheapest point; here every
router is measured over one range, from the cheapest to the dearest single model.
"""

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.core.bootstrap import TINY, Interval, draw_counts, percentile_interval

RESAMPLES = 500


def hull(cost: Floats, quality: Floats) -> tuple[Floats, Floats]:
    """Return the non-decreasing convex hull of points, from the cheapest to the best."""
    order = np.lexsort((-quality, cost))
    corners: list[tuple[float, float]] = []
    for x, y in zip(cost[order].tolist(), quality[order].tolist(), strict=True):
        if corners and y <= corners[-1][1]:  # the last corner is the highest
            continue
        while len(corners) > 1 and not _is_corner(corners[-2], corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    table = np.array(corners, dtype=np.float64)
    return table[:, 0], table[:, 1]


def _is_corner(
    left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]
) -> bool:
    """Say whether the middle point lies above the line between the others."""
    climb = (middle[1] - left[1]) * (right[0] - left[0])
    return climb > (right[1] - left[1]) * (middle[0] - left[0])


def aiq(cost: Floats, quality: Floats, *, low: float, high: float) -> float | None:
    """Return the mean height of the hull from `low` to `high` dollars; None without a range."""
    if high - low <= TINY * max(1.0, high):
        return None
    x, y = hull(cost, quality)
    inside = x[(x > low) & (x < high)]
    grid = np.r_[low, inside, high]
    return float(np.trapezoid(np.interp(grid, x, y), grid) / (high - low))


def aiq_interval(
    costs: Floats,
    scores: Floats,
    *,
    low: float,
    high: float,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Return the AIQ of points, shape (prompts, points), with its interval over prompts.

    The draws are the same for every router; the range is not drawn anew.
    """
    estimate = aiq(costs.mean(axis=0), scores.mean(axis=0), low=low, high=high)
    if estimate is None:
        return None
    rows = [np.arange(len(costs), dtype=np.int64)]
    counts = draw_counts(rows, resamples, np.random.default_rng(seed))
    drawn = zip(counts @ costs / len(costs), counts @ scores / len(costs), strict=True)
    values = [aiq(cost, quality, low=low, high=high) for cost, quality in drawn]
    return percentile_interval(estimate, np.array(values, dtype=np.float64))
