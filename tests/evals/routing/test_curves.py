"""AIQ and the hull below it, against references."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from collegium.evals.routing.curves import aiq, hull


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
