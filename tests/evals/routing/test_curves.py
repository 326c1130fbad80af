"""AIQ and the hull below it, against references."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from collegium.evals.core.bootstrap import draw_counts
from collegium.evals.routing.curves import aiq, aiq_interval, hull


@pytest.mark.parametrize("seed", range(5))
def test_the_hull_is_scipys_upper_left_one(seed: int) -> None:
    """From the cheapest point to the best one, the corners of the full convex hull."""
    points = np.random.default_rng(seed).random((40, 2))
    corners = points[ConvexHull(points).vertices]
    cheapest, best = points[points[:, 0].argmin()], points[points[:, 1].argmax()]
    x, y = hull(points[:, 0], points[:, 1])
    assert (x[0], y[0]) == tuple(cheapest)
    assert (x[-1], y[-1]) == tuple(best)
    assert (np.diff(y) > 0).all()
    assert set(zip(x, y, strict=True)) <= set(map(tuple, corners))
    inside = points[points[:, 0] <= best[0]]
    assert (np.interp(inside[:, 0], x, y) >= inside[:, 1] - 1e-12).all()


def test_aiq_is_the_mean_height_of_the_hull() -> None:
    """By hand: up from 0.2 to 0.6 over half the range, then flat."""
    cost, quality = np.array([1.0, 2.0, 3.0, 2.5]), np.array([0.2, 0.6, 0.5, 0.1])
    assert aiq(cost, quality, low=1.0, high=3.0) == pytest.approx((0.4 + 0.6) / 2)


def test_aiq_counts_over_the_given_range_only() -> None:
    """Left of a curve's first point its height is that point's, and so on the right."""
    cost, quality = np.array([2.0, 4.0]), np.array([0.2, 0.6])
    assert aiq(cost, quality, low=1.0, high=3.0) == pytest.approx((0.2 + 0.3) / 2)
    assert aiq(cost[:1], quality[:1], low=1.0, high=9.0) == pytest.approx(0.2)


def test_without_a_range_of_costs_there_is_no_aiq() -> None:
    """All models cost the same: nothing can be traded."""
    assert aiq(np.ones(2), np.ones(2), low=1.0, high=1.0) is None


def test_the_interval_of_aiq_is_that_of_drawn_prompts() -> None:
    """Each draw's AIQ is that of the means of the prompts that were drawn."""
    rng = np.random.default_rng(2)
    costs, scores = rng.random((30, 6)), rng.random((30, 6))
    found = aiq_interval(costs, scores, low=0.4, high=0.6, seed=1, resamples=100)
    counts = draw_counts([np.arange(30)], 100, np.random.default_rng(1)).astype(np.int64)
    drawn = [np.repeat(np.arange(30), count) for count in counts]
    values = [aiq(costs[r].mean(axis=0), scores[r].mean(axis=0), low=0.4, high=0.6) for r in drawn]
    low, high = np.quantile(np.array(values, dtype=np.float64), [0.025, 0.975])
    assert found is not None
    assert found.estimate == aiq(costs.mean(axis=0), scores.mean(axis=0), low=0.4, high=0.6)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert aiq_interval(costs, scores, low=0.5, high=0.5) is None
