"""Gradient-based fitting of several arrays at once, with L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize

from collegium.router.predictors.base import Array, sigmoid

Arrays = list[Array]


def descend(
    loss: Callable[[Arrays], tuple[float, Arrays]], start: Sequence[Array], *, steps: int
) -> Arrays:
    """The arrays that make `loss` small; it returns its value and a gradient an array."""
    cuts = np.cumsum([a.size for a in start])[:-1]

    def shaped(flat: Array) -> Arrays:
        parts = np.split(flat, cuts)
        return [part.reshape(a.shape) for part, a in zip(parts, start, strict=True)]

    def flat_loss(flat: Array) -> tuple[float, Array]:
        value, gradients = loss(shaped(flat))
        return value, np.concatenate([g.ravel() for g in gradients])

    flat = np.concatenate([a.ravel() for a in start])
    found = minimize(flat_loss, flat, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return shaped(np.asarray(found.x, dtype=np.float64))


def cross_entropy(logits: Array, scores: Array) -> tuple[float, Array]:
    """Mean over measured cells, and its gradient in the logits; NaN cells have none."""
    seen = ~np.isnan(scores)
    known, count = np.where(seen, scores, 0.0), max(int(seen.sum()), 1)
    value = np.where(seen, np.logaddexp(0.0, logits) - known * logits, 0.0).sum() / count
    return float(value), np.where(seen, sigmoid(logits) - known, 0.0) / count
