"""Clusters of queries and each expert's rate in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from collegium.router.predictors.base import Array, Predictor
from collegium.router.predictors.knn import unit
from collegium.router.predictors.tables import shrunk_table


class Clusters(Predictor):
    """The rates of the `near` clusters nearest to a query, weighted by exp(cosine / temperature).

    The Avengers (arXiv 2505.19797) take k-means with one nearest cluster, Avengers-Pro (arXiv
    2508.12631) several; rates here are shrunk toward the expert's overall one.
    """

    state = ("centres_", "table_")

    def __init__(self, clusters: int = 48, near: int = 4, temperature: float = 0.05) -> None:
        self.clusters = clusters
        self.near = near
        self.temperature = temperature

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        self.centres_ = unit(centres_of(unit(X), self.clusters))
        self.table_ = shrunk_table(self._members(X), scores)

    def _forecast(self, X: Array) -> Array:
        return self._members(X) @ self.table_

    def _members(self, X: Array) -> Array:
        cosines = unit(X) @ self.centres_.T
        near = min(self.near, cosines.shape[1])
        least = np.partition(cosines, -near, axis=1)[:, -near][:, None]
        weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / self.temperature)
        weights = np.where(cosines >= least, weights, 0.0)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def centres_of(X: Array, count: int) -> Array:
    """Means of k-means clusters, at most one for ten queries, shape (clusters, d)."""
    count = max(1, min(count, len(X) // 10, len(np.unique(X, axis=0))))
    return np.asarray(KMeans(count, n_init=1, max_iter=50, random_state=0).fit(X).cluster_centers_)
