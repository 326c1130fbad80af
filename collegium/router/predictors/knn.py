"""k nearest neighbours: an expert is as good on a query as on the most similar ones."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from collegium.router.predictors.base import Array, Predictor, folds, rates

PRIOR = 1.0  # neighbours that answer at the expert's overall rate, so that few say little


class Knn(Predictor):
    """The mean outcome of the k nearest queries by cosine, weighted by exp(cosine / temperature).

    An infinite temperature weights all alike. "Rethinking predictive modeling for LLM routing"
    (arXiv 2505.12601) finds it hard to beat once k is tuned.
    """

    state: ClassVar[tuple[str, ...]] = ("vectors_", "scores_", "rates_")

    def __init__(self, k: int = 20, temperature: float = float("inf")) -> None:
        self.k = k
        self.temperature = temperature

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        self.vectors_ = unit(X)
        self.scores_ = scores
        self.rates_ = rates(scores)

    def _forecast(self, X: Array) -> Array:
        similar, rows = nearest(unit(X), self.vectors_, self.k)
        return weighted_means(similar, self.scores_[rows], self.rates_, self.temperature)


class TunedKnn(Knn):
    """kNN whose k and temperature are those that forecast left-out queries best (Brier score)."""

    state = (*Knn.state, "k_", "temperature_")

    def __init__(
        self,
        ks: tuple[int, ...] = (5, 10, 20, 40, 80, 160),
        temperatures: tuple[float, ...] = (0.03, 0.1, float("inf")),
        folds: int = 5,
    ) -> None:
        self.ks = ks
        self.temperatures = temperatures
        self.folds = folds

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        super()._learn(X, scores, labels, groups)
        losses = self._losses(scores, groups)
        best = np.unravel_index(int(losses.argmin()), losses.shape)
        self.k_, self.temperature_ = self.ks[best[0]], self.temperatures[best[1]]

    def _forecast(self, X: Array) -> Array:
        similar, rows = nearest(unit(X), self.vectors_, self.k_)
        return weighted_means(similar, self.scores_[rows], self.rates_, self.temperature_)

    def _losses(self, scores: Array, groups: Any) -> Array:
        """Sums of squared errors on queries whose group was left out, by k and temperature."""
        losses = np.zeros((len(self.ks), len(self.temperatures)))
        for kept, left in folds(len(scores), groups, self.folds):
            similar, rows = nearest(self.vectors_[left], self.vectors_[kept], max(self.ks))
            found, usual = self.scores_[kept][rows], rates(scores[kept])
            for i, k in enumerate(self.ks):
                for j, temperature in enumerate(self.temperatures):
                    forecast = weighted_means(similar[:, :k], found[:, :k], usual, temperature)
                    losses[i, j] += np.nansum((forecast - scores[left]) ** 2)
        return losses


def unit(X: Array) -> Array:
    """Rows of unit length; a row of zeros stays one."""
    length = np.linalg.norm(X, axis=1, keepdims=True)
    return np.asarray(X / np.where(length > 0, length, 1.0))


def nearest(queries: Any, known: Any, k: int, *, block: int = 1024) -> tuple[Any, Any]:
    """Cosines and rows of each query's k nearest known ones, best first, both (n, k)."""
    k = min(k, len(known))
    parts = [_nearest(queries[i : i + block] @ known.T, k) for i in range(0, len(queries), block)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _nearest(cosines: Any, k: int) -> tuple[Any, Any]:
    rows = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    found = np.take_along_axis(cosines, rows, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(rows, order, axis=1)


def weighted_means(similar: Any, scores: Any, usual: Array, temperature: float) -> Array:
    """Return each expert's weighted mean over its measured neighbours.

    `similar` has shape (n, k), `scores` (n, k, e), the experts' `usual` rates (e,).
    """
    weights = np.exp((similar - similar[:, :1]) / temperature)
    seen = ~np.isnan(scores)
    right = np.einsum("nk,nke->ne", weights, np.where(seen, scores, 0.0))
    total = np.einsum("nk,nke->ne", weights, seen.astype(weights.dtype))
    return np.asarray((right + PRIOR * usual) / (total + PRIOR), dtype=np.float64)
