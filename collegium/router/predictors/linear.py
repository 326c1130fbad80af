"""A ridge regression an expert, with the penalty that leaves one query out best."""

from __future__ import annotations

from typing import Any

import numpy as np

from collegium.router.predictors.base import Array, Predictor, rates


class Linear(Predictor):
    """P(correct) as a plane in the embedding, by least squares.

    The penalty is chosen for each expert by the exact leave-one-out error, which a ridge gives
    without refitting (Golub, Heath and Wahba, 1979). `penalties` are relative to the mean
    eigenvalue of the embeddings' covariance times the number of queries.
    """

    state = ("coef_", "intercept_")

    def __init__(
        self, penalties: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    ) -> None:
        self.penalties = penalties

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        self.coef_ = np.zeros((scores.shape[1], X.shape[1]))
        self.intercept_ = rates(scores)
        for rows, columns in same_cells(scores):
            if len(rows) > 1:
                fitted = ridge(X[rows], scores[np.ix_(rows, columns)], self.penalties)
                self.coef_[columns], self.intercept_[columns] = fitted

    def _forecast(self, X: Array) -> Array:
        return X @ self.coef_.T + self.intercept_


def same_cells(scores: Array) -> list[tuple[Any, Any]]:
    """Experts measured on the same queries, as (rows, columns): they share one decomposition."""
    seen = ~np.isnan(scores)
    patterns, which = np.unique(seen, axis=1, return_inverse=True)
    return [
        (np.flatnonzero(patterns[:, i]), np.flatnonzero(which.ravel() == i))
        for i in range(patterns.shape[1])
    ]


def ridge(X: Array, y: Array, penalties: tuple[float, ...]) -> tuple[Array, Array]:
    """Weights (e, d) and intercepts (e,), each expert with its best penalty."""
    centre, means = X.mean(axis=0), y.mean(axis=0)
    values, vectors = np.linalg.eigh((X - centre).T @ (X - centre))
    values = np.maximum(values, 0.0)
    rotated = (X - centre) @ vectors
    moments = rotated.T @ (y - means)
    scale = max(float(values.mean()), 1e-12)
    best, weights = np.full(y.shape[1], np.inf), np.zeros((X.shape[1], y.shape[1]))
    for penalty in penalties:
        shrunk = moments / (values + penalty * scale)[:, None]
        leverage = (rotated**2 / (values + penalty * scale)).sum(axis=1) + 1 / len(X)
        left_out = (y - means - rotated @ shrunk) / np.maximum(1 - leverage, 1e-6)[:, None]
        error = (left_out**2).mean(axis=0)
        weights[:, error < best] = shrunk[:, error < best]
        best = np.minimum(best, error)
    coef = (vectors @ weights).T
    return coef, means - coef @ centre
