"""Thompson sampling with exact propensities: each expert's probability of being the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
TINY = 1e-9


def best_probabilities(mean: Array, deviation: Array) -> Array:
    """P(expert is the best) for independent normal beliefs of shape (e,); they sum to one.

    Thompson (1933) draws from the beliefs and takes the best; drawing from these probabilities
    is the same, and says how likely each choice was, which off-policy estimates need. By
    Gauss-Hermite quadrature: E over expert a's belief of the product of all others' P(below).
    Whatever error that has is in the draw too, so the logged propensity is exact.
    """
    from scipy.special import ndtr

    deviation = np.maximum(deviation, TINY)
    points = mean[:, None] + deviation[:, None] * NODES  # (a, nodes)
    standard = (points[:, :, None] - mean) / deviation  # (a, nodes, others)
    below = ndtr(standard)
    own = np.arange(len(mean))
    below[own, :, own] = 1.0
    chances = below.prod(axis=2) @ WEIGHTS
    total = chances.sum()
    if total <= 0:
        best = np.asarray(mean == mean.max(), dtype=np.float64)
        return np.asarray(best / best.sum())
    return np.asarray(chances / total)


def with_floor(probabilities: Array, allowed: NDArray[np.bool_], floor: float) -> Array:
    """Mix in a uniform choice among the allowed with weight `floor`: no propensity gets tiny."""
    kept = np.where(allowed, probabilities, 0.0)
    total = kept.sum()
    uniform = allowed / allowed.sum()
    return np.asarray((1 - floor) * (kept / total if total > 0 else uniform) + floor * uniform)
