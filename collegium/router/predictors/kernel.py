"""Kernel ridge regression on a few hundred landmarks: smooth, local, and fast at any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from collegium.router.predictors.base import Array, Predictor
from collegium.router.predictors.linear import PENALTIES, fit_ridges


class Kernel(Predictor):
    """Ridge regression on Nyström features of a Gaussian kernel.

    The bandwidth is `width` times the median distance between landmarks, which are queries drawn
    at random. Williams and Seeger, "Using the Nyström method to speed up kernel machines" (2000).
    Forecasting takes landmarks x dimensions products, however many queries were learnt from.
    """

    state = ("landmarks_", "squares_", "gamma_", "coef_", "intercept_")

    def __init__(
        self,
        landmarks: int = 512,
        width: float = 0.7,
        penalties: tuple[float, ...] = PENALTIES,
    ) -> None:
        self.landmarks = landmarks
        self.width = width
        self.penalties = penalties

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        chosen = np.random.default_rng(0).permutation(len(X))[: self.landmarks]
        self.landmarks_ = X[np.sort(chosen)]
        self.squares_ = (self.landmarks_**2).sum(axis=1)
        between = squared_distances(self.landmarks_, self.landmarks_, self.squares_)
        apart = between[np.triu_indices(len(between), 1)]
        usual = float(np.median(apart)) if len(apart) else 1.0
        self.gamma_ = 1 / (2 * self.width**2 * max(usual, 1e-12))
        values, vectors = np.linalg.eigh(np.exp(-self.gamma_ * between))
        kept = values > 1e-6 * values[-1]
        whiten = vectors[:, kept] / np.sqrt(values[kept])
        coef, self.intercept_ = fit_ridges(self._similar(X) @ whiten, scores, self.penalties)
        self.coef_ = coef @ whiten.T

    def _forecast(self, X: Array) -> Array:
        return np.asarray(self._similar(X) @ self.coef_.T + self.intercept_)

    def _similar(self, X: Array) -> Array:
        return np.asarray(
            np.exp(-self.gamma_ * squared_distances(X, self.landmarks_, self.squares_))
        )


def squared_distances(a: Array, b: Array, b_squares: Array) -> Array:
    """Between all rows of a and b, shape (len(a), len(b)); `b_squares` are lengths of b squared."""
    squares = (a**2).sum(axis=1)[:, None] + b_squares - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))
