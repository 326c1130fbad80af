"""The best mixture of several ways to answer at equal cost."""

from __future__ import annotations

import numpy as np

from collegium.evals.core.arrays import Floats


def hull_at(accuracy: Floats, cost: Floats, at: Floats) -> Floats:
    """The best accuracy of a mix of ways for the money `at`; shapes (..., ways) and (...).

    A mix answers some queries in one way and the rest in another; what is too dear for the money
    is no part of it, except mixed with something cheaper.
    """
    below, above = cost <= at[..., None] * (1 + 1e-12), cost > at[..., None]
    best = np.where(below, accuracy, -np.inf).max(axis=-1)
    gap = cost[..., None, :] - cost[..., :, None]
    share = (at[..., None, None] - cost[..., :, None]) / np.where(gap > 0, gap, np.inf)
    mixed = accuracy[..., :, None] + share * (accuracy[..., None, :] - accuracy[..., :, None])
    usable = below[..., :, None] & above[..., None, :]
    best = np.maximum(best, np.where(usable, mixed, -np.inf).max(axis=(-1, -2)))
    cheapest = np.take_along_axis(accuracy, cost.argmin(axis=-1)[..., None], axis=-1)[..., 0]
    return np.asarray(np.where(np.isfinite(best), best, cheapest), dtype=np.float64)
