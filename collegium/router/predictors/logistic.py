"""A logistic head per expert, Platt-scaled out of fold."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from collegium.router.predictors.base import Array, Predictor, folds, sigmoid

FEWEST_OF_EACH = 4  # right and wrong answers needed to learn more than a rate


class Logistic(Predictor):
    """Each expert apart, nothing shared between them; partial credit counts as weighted answers.

    An expert that is nearly always right or wrong gets its smoothed rate instead of a slope.
    Platt, "Probabilistic outputs for support vector machines" (1999); the scaling keeps a head
    linear: it is folded into the weights.
    """

    state = ("coef_", "intercept_")

    def __init__(self, C: float = 3.0, folds: int = 5) -> None:
        self.C = C
        self.folds = folds

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        heads = [self._fit_one(X, column, groups) for column in scores.T]
        self.coef_ = np.array([weights for weights, _ in heads])
        self.intercept_ = np.array([intercept for _, intercept in heads])

    def _forecast(self, X: Array) -> Array:
        return sigmoid(X @ self.coef_.T + self.intercept_)

    def _fit_one(self, X: Array, scores: Array, groups: Any) -> tuple[Array, float]:
        measured = ~np.isnan(scores)
        right = scores[measured]
        rate = np.zeros(X.shape[1]), log_odds(right.sum(), len(right))
        if min(right.sum(), len(right) - right.sum()) < FEWEST_OF_EACH:
            return rate
        rows, labels, weights = as_weighted_classes(right)
        kept = np.flatnonzero(measured)[rows]
        together = kept if groups is None or len(np.unique(groups[kept])) < 2 else groups[kept]
        logits = self._unseen_logits(X[kept], labels, weights, together)
        scale = LogisticRegression(C=1e6).fit(logits[:, None], labels, sample_weight=weights)
        slope, shift = float(scale.coef_[0, 0]), float(scale.intercept_[0])
        if slope <= 0:  # on queries that it did not see, the head knows nothing
            return rate
        head = self._head().fit(X[kept], labels, sample_weight=weights)
        return slope * head.coef_[0], slope * float(head.intercept_[0]) + shift

    def _unseen_logits(self, X: Array, labels: Array, weights: Array, groups: Any) -> Array:
        """Return each answer's logit by a head that was fitted without its group, shape (n,)."""
        logits = np.empty(len(labels))
        for seen, left in folds(len(X), groups, self.folds):
            if len(np.unique(labels[seen])) < 2:
                logits[left] = log_odds((weights * labels)[seen].sum(), weights[seen].sum())
                continue
            head = self._head().fit(X[seen], labels[seen], sample_weight=weights[seen])
            logits[left] = head.decision_function(X[left])
        return logits

    def _head(self) -> LogisticRegression:
        return LogisticRegression(C=self.C, max_iter=2000)


def as_weighted_classes(right: Array) -> tuple[Any, Array, Array]:
    """Turn fractions into classes: 0.7 is a right answer of weight 0.7 and a wrong one of 0.3."""
    rows = np.r_[np.flatnonzero(right > 0), np.flatnonzero(right < 1)]
    labels = np.r_[np.ones((right > 0).sum()), np.zeros((right < 1).sum())]
    weights = np.r_[right[right > 0], 1 - right[right < 1]]
    return rows, labels, weights


def log_odds(right: float, total: float) -> float:
    """The logit of a rate, smoothed (Krichevsky and Trofimov): no rate is 0 or 1 for certain."""
    return float(np.log((right + 0.5) / (total - right + 0.5)))
