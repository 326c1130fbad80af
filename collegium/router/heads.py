"""Linear heads on a query's embedding: the skill that it needs, and P(correct) of each expert."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

Array = NDArray[np.float64]
FEWEST_OF_EACH = 4  # right and wrong answers needed to learn more than a rate


class QualityHeads(RegressorMixin, BaseEstimator):
    """P(correct | query) of every expert: one logistic head an expert, Platt-scaled out of fold.

    `fit(X, y)` takes embeddings (n, d) and outcomes (n, e) in [0, 1], NaN where nobody measured;
    partial credit counts as a weighted right and wrong answer. An expert that is nearly always
    right or wrong gets its smoothed rate instead of a slope. Platt, "Probabilistic outputs for
    support vector machines" (1999); the scaling keeps a head linear: it is folded into the weights.
    """

    def __init__(self, C: float = 3.0, folds: int = 5) -> None:
        self.C = C
        self.folds = folds

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        tags.regressor_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit each expert on the queries it was measured on; `groups` keeps phrasings together."""
        X = validate_data(self, X, dtype=np.float64)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = check_array(
            y, dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan", input_name="y"
        )
        self._single_output_ = y.ndim == 1
        columns = y[:, None] if self._single_output_ else y
        if len(columns) != len(X):
            raise ValueError(f"inconsistent numbers of samples: {len(X)} queries, {len(y)} scores")
        heads = [self._fit_one(X, column, groups) for column in columns.T]
        self.coef_ = np.array([weights for weights, _ in heads])
        self.intercept_ = np.array([intercept for _, intercept in heads])
        return self

    def predict(self, X: Any) -> Array:
        """Return P(correct), shape (n, experts)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        quality = sigmoid(X @ self.coef_.T + self.intercept_)
        return quality[:, 0] if self._single_output_ else quality

    def _fit_one(self, X: Array, column: Array, groups: Any) -> tuple[Array, float]:
        measured = ~np.isnan(column)
        right = np.clip(column[measured], 0.0, 1.0)
        rate = np.zeros(X.shape[1]), log_odds(right.sum(), len(right))
        if min(right.sum(), len(right) - right.sum()) < FEWEST_OF_EACH:
            return rate
        rows, labels, weights = as_weighted_classes(right)
        kept = np.flatnonzero(measured)[rows]
        together = kept if groups is None else np.asarray(groups)[kept]
        logits = self._unseen_logits(X[kept], labels, weights, together, kept)
        scale = LogisticRegression(C=1e6).fit(logits[:, None], labels, sample_weight=weights)
        slope, shift = float(scale.coef_[0, 0]), float(scale.intercept_[0])
        if slope <= 0:  # on queries that it did not see, the head knows nothing
            return rate
        head = self._head().fit(X[kept], labels, sample_weight=weights)
        return slope * head.coef_[0], slope * float(head.intercept_[0]) + shift

    def _unseen_logits(
        self, X: Array, labels: Array, weights: Array, groups: Any, queries: Any
    ) -> Array:
        """Return each answer's logit by a head that was fitted without its group, shape (n,)."""
        if len(np.unique(groups)) < 2:  # nothing to keep apart but the queries
            groups = queries
        folds = GroupKFold(min(self.folds, len(np.unique(groups))), shuffle=True, random_state=0)
        logits = np.empty(len(labels))
        for seen, left in folds.split(X, groups=groups):
            if len(np.unique(labels[seen])) < 2:
                logits[left] = log_odds((weights * labels)[seen].sum(), weights[seen].sum())
                continue
            head = self._head().fit(X[seen], labels[seen], sample_weight=weights[seen])
            logits[left] = head.decision_function(X[left])
        return logits

    def _head(self) -> LogisticRegression:
        return LogisticRegression(C=self.C, max_iter=2000)


class SkillHead(ClassifierMixin, BaseEstimator):
    """P(skill | query): a multinomial logistic head whose classes are skills' names."""

    def __init__(self, C: float = 10.0) -> None:
        self.C = C

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on embeddings (n, d) and skills' names (n,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        self.classes_ = np.unique(y)
        if len(self.classes_) == 1:  # outcomes without task labels
            self.coef_, self.intercept_ = np.zeros((1, X.shape[1])), np.zeros(1)
            return self
        head = LogisticRegression(C=self.C, max_iter=2000).fit(X, y)
        two = len(self.classes_) == 2
        self.coef_ = np.vstack([0 * head.coef_, head.coef_]) if two else head.coef_
        self.intercept_ = np.r_[0.0, head.intercept_] if two else head.intercept_
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return P(skill), shape (n, skills), rows summing to one."""
        check_is_fitted(self)
        return self.probabilities(validate_data(self, X, dtype=np.float64, reset=False))

    def probabilities(self, X: Array) -> Array:
        """`predict_proba` for float rows without validation, which would take most of the time."""
        logits = X @ self.coef_.T + self.intercept_
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> Any:
        """Return the likeliest skill of each query."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]


def as_weighted_classes(right: Array) -> tuple[Any, Array, Array]:
    """Turn fractions into classes: 0.7 is a right answer of weight 0.7 and a wrong one of 0.3."""
    rows = np.r_[np.flatnonzero(right > 0), np.flatnonzero(right < 1)]
    labels = np.r_[np.ones((right > 0).sum()), np.zeros((right < 1).sum())]
    weights = np.r_[right[right > 0], 1 - right[right < 1]]
    return rows, labels, weights


def log_odds(right: float, total: float) -> float:
    """The logit of a rate, smoothed (Krichevsky and Trofimov): no rate is 0 or 1 for certain."""
    return float(np.log((right + 0.5) / (total - right + 0.5)))


def sigmoid(x: Array) -> Array:
    """The logistic function, without overflow."""
    return np.asarray(expit(x))
