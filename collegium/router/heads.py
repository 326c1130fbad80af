"""The linear head on a query's embedding that tells which skill it needs."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted, validate_data

Array = NDArray[np.float64]


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
