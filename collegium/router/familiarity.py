"""Know what the pool was never measured on: the distance of a query from all measured ones."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.covariance import ledoit_wolf
from sklearn.utils.validation import check_is_fitted, validate_data

Array = NDArray[np.float64]
LEAST_THRESHOLD = 1e-9  # where all queries are one, 0 / 0 would be no score


class Familiarity(OutlierMixin, BaseEstimator):
    """Mahalanobis distance to the nearest skill's mean under one shared covariance.

    Lee et al., "A simple unified framework for detecting out-of-distribution samples" (NeurIPS
    2018); the covariance is Ledoit and Wolf's shrunk one, as there are hardly more queries than
    dimensions. Measured when it was chosen (600 queries of unseen phrasings against 805 chat
    prompts): AUROC 0.998; nearest neighbours 0.996; a linear head that saw other chat 0.996.
    """

    def __init__(self, accept: float = 0.02) -> None:
        self.accept = accept

    def fit(self, X: Any, y: Any = None, *, background: Any = None) -> Self:
        """Fit on measured queries (n, d) and their skills.

        The threshold lets the share `accept` of the `background` queries (m, d), which are of no
        skill, pass as familiar; without a background it leaves out that share of the measured ones.
        """
        X = validate_data(self, X, dtype=np.float64)
        skills = np.zeros(len(X)) if y is None else np.asarray(y)
        names, index = np.unique(skills, return_inverse=True)
        self.means_ = np.array([X[index == k].mean(axis=0) for k in range(len(names))])
        covariance, _ = ledoit_wolf(X - self.means_[index])
        ridge = 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
        self.precision_ = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        if background is None:
            threshold = np.quantile(self.distance(X), 1 - self.accept)
        else:
            threshold = np.quantile(self.distance(background), self.accept)
        self.threshold_ = max(float(threshold), LEAST_THRESHOLD)
        self.offset_ = -self.threshold_
        return self

    def distance(self, X: Any) -> Array:
        """Return each query's distance to the nearest skill, shape (n,)."""
        check_is_fitted(self, "precision_")
        return self.unchecked_distance(validate_data(self, X, dtype=np.float64, reset=False))

    def unchecked_distance(self, X: Array) -> Array:
        """As `distance`, for float rows that need no check: checks take most of the time."""
        whitened = X @ self.precision_
        means, squared_means = self._whitened_means()
        squares = np.einsum("nd,nd->n", X, whitened)[:, None] - 2 * X @ means.T + squared_means
        return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)))

    def _whitened_means(self) -> tuple[Array, Array]:
        """The means times the precision, and their squared lengths: the same for all queries."""
        known = getattr(self, "_whitened", None)
        if known is None or known[0] is not self.means_ or known[1] is not self.precision_:
            means = self.means_ @ self.precision_
            squares = np.einsum("kd,kd->k", self.means_, means)
            known = self._whitened = (self.means_, self.precision_, means, squares)
        return known[2], known[3]

    def score_samples(self, X: Any) -> Array:
        """Higher is more familiar (scikit-learn's convention for outlier detectors)."""
        return -self.distance(X)

    def decision_function(self, X: Any) -> Array:
        """Positive for familiar queries."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Any:
        """+1 for familiar queries, -1 for the others."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def ood_score(self, X: Any) -> Array:
        """A score in [0, 1] for people: 0 at a skill's mean, 0.5 at the threshold."""
        return self.as_ood_score(self.distance(X))

    def as_ood_score(self, distance: Array) -> Array:
        """The score that belongs to a distance."""
        return np.asarray(distance**2 / (distance**2 + self.threshold_**2))
