"""The low-dimensional features of an embedding from which the bandit learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collegium.router.artifact import FittedRouter

Array = NDArray[np.float64]
TINY = 1e-12
DIMENSIONS = 8


@dataclass(frozen=True)
class Projection:
    """Whitened principal components behind a constant one: d numbers become k = r + 1.

    `components` has shape (d, r). With 384 dimensions an expert would need thousands of ratings
    before its own correction meant anything, and a decision 24 MB of matrices.
    """

    mean: Array
    components: Array

    def __call__(self, x: Array) -> Array:
        """Project one embedding (d,) to features (k,)."""
        features = np.empty(self.components.shape[1] + 1)
        features[0] = 1.0
        np.matmul(x - self.mean, self.components, out=features[1:])
        return features


def fit_projection(X: Array, *, dimensions: int = DIMENSIONS) -> Projection:
    """Find the principal components of embeddings (n, d), scaled to unit variance."""
    X = np.asarray(X, dtype=np.float64)
    mean = X.mean(axis=0)
    _, sizes, directions = np.linalg.svd(X - mean, full_matrices=False)
    kept = min(dimensions, int((sizes > 1e-9 * max(float(sizes[0]), TINY)).sum()))
    deviations = sizes[:kept] / np.sqrt(len(X))
    return Projection(mean, np.ascontiguousarray(directions[:kept].T / deviations))


def projection_of(fitted: FittedRouter) -> Projection:
    """Whitened principal components of the queries that a router was fitted on."""
    return fit_projection(fitted.beliefs.evidence_.marked_.astype(np.float64))
