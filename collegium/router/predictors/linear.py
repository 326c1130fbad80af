"""A ridge regression for all experts, with penalties chosen by leave-one-out error."""

from __future__ import annotations

from typing import Any

import numpy as np

from collegium.router.predictors.base import Array, Predictor, rates

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 10_000.0)
FEW_HOLES = 0.1  # with fewer missing cells than this share, filling them in loses nothing


class Linear(Predictor):
    """P(correct) as a plane in the embedding, by least squares.

    How hard a query is for everybody and how experts differ on it are learnt apart: outcomes are
    rotated to their mean and the principal components of the differences, and each gets the
    penalty of the least leave-one-out error, which a ridge gives without refitting (Golub, Heath
    and Wahba, 1979). So what is noise in the differences is shrunk to nothing, which routing needs
    and separate heads don't do (Breiman and Friedman, "Predicting multivariate responses in
    multiple linear regression", 1997). `penalties` are relative to the embeddings' mean eigenvalue.
    """

    state = ("coef_", "intercept_")

    def __init__(self, penalties: tuple[float, ...] = PENALTIES) -> None:
        self.penalties = penalties

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        self.coef_, self.intercept_ = fit_ridges(X, scores, self.penalties)

    def _forecast(self, X: Array) -> Array:
        return X @ self.coef_.T + self.intercept_


def fit_ridges(X: Array, scores: Array, penalties: tuple[float, ...]) -> tuple[Array, Array]:
    """Return weights (e, d) and intercepts (e,); scores (n, e) are NaN where unmeasured."""
    coef, intercept = np.zeros((scores.shape[1], X.shape[1])), rates(scores)
    if 0 < np.isnan(scores).mean() <= FEW_HOLES:
        scores = filled(scores)
    for rows, columns in same_cells(scores):
        if len(rows) > 1:
            fitted = ridge(X[rows], scores[np.ix_(rows, columns)], penalties)
            coef[columns], intercept[columns] = fitted
    return coef, intercept


def filled(scores: Array) -> Array:
    """Missing cells as the expert's rate plus how far the query's other outcomes are off theirs."""
    usual = rates(scores)
    seen = ~np.isnan(scores)
    off = np.where(seen, scores - usual, 0.0).sum(axis=1) / (seen.sum(axis=1) + 1.0)
    guess = np.clip(usual + off[:, None], 0.0, 1.0)
    guess[:, ~seen.any(axis=0)] = np.nan  # an expert without outcomes is not guessed
    return np.where(seen, scores, guess)


def same_cells(scores: Array) -> list[tuple[Any, Any]]:
    """Experts measured on the same queries, as (rows, columns): they share one decomposition."""
    seen = ~np.isnan(scores)
    patterns, which = np.unique(seen, axis=1, return_inverse=True)
    return [
        (np.flatnonzero(patterns[:, i]), np.flatnonzero(which.ravel() == i))
        for i in range(patterns.shape[1])
    ]


def ridge(X: Array, y: Array, penalties: tuple[float, ...]) -> tuple[Array, Array]:
    """Weights (e, d) and intercepts (e,) for outcomes (n, e) without holes."""
    centre, means, rotation = X.mean(axis=0), y.mean(axis=0), common_and_differences(y)
    y = (y - means) @ rotation
    values, vectors = np.linalg.eigh((X - centre).T @ (X - centre))
    values, rotated = np.maximum(values, 0.0), (X - centre) @ vectors
    moments, squares = rotated.T @ y, rotated**2
    scale = max(float(values.mean()), 1e-12)
    best, weights = np.full(y.shape[1], np.inf), np.zeros((X.shape[1], y.shape[1]))
    for penalty in penalties:
        inverse = 1 / (values + penalty * scale)
        shrunk = moments * inverse[:, None]
        leverage = squares @ inverse + 1 / len(X)
        left_out = (y - rotated @ shrunk) / np.maximum(1 - leverage, 1e-6)[:, None]
        error = (left_out**2).mean(axis=0)
        weights[:, error < best] = shrunk[:, error < best]
        best = np.minimum(best, error)
    coef = rotation @ (vectors @ weights).T
    return coef, means - coef @ centre


def common_and_differences(y: Array) -> Array:
    """An orthogonal rotation (e, e): first the experts' mean, then components of their differences.

    The components are the principal ones of the outcomes less each query's mean.
    """
    experts = y.shape[1]
    mean = np.full((experts, 1), experts**-0.5)
    differences = y - y.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(np.atleast_2d(np.cov(differences.T, bias=True)))
    rotation, _ = np.linalg.qr(np.hstack([mean, vectors[:, ::-1][:, : experts - 1]]))
    return np.asarray(rotation)
