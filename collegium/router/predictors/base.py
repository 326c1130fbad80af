"""The base of predictors: scikit-learn estimators that forecast P(correct) of each expert."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

Array = NDArray[np.float64]


class Predictor(RegressorMixin, BaseEstimator, ABC):
    """P(correct | query) of every expert at once.

    `fit(X, y)` takes embeddings (n, d) and outcomes (n, e) in [0, 1], NaN where nobody measured;
    `labels` are the queries' tasks or domains where known (n names, used by those predictors that
    can), `groups` what must stay together in cross-validation. A predictor writes `_learn` and
    `_forecast`; all that it learnt is in the attributes that `state` names, so it can be saved.
    """

    state: ClassVar[tuple[str, ...]]
    saveable: ClassVar[bool] = True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        tags.regressor_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any, *, labels: Any = None, groups: Any = None) -> Self:
        """Learn from measured outcomes."""
        X = validate_data(self, X, dtype=np.float64)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = check_array(
            y, dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan", input_name="y"
        )
        if len(y) != len(X):
            raise ValueError(f"inconsistent numbers of samples: {len(X)} queries, {len(y)} scores")
        self.single_output_ = y.ndim == 1
        scores = np.clip(y[:, None] if y.ndim == 1 else y, 0.0, 1.0)
        names = None if labels is None else np.asarray(labels, dtype=str)
        self._learn(X, scores, names, None if groups is None else np.asarray(groups))
        return self

    def predict(self, X: Any) -> Array:
        """Return P(correct), shape (n, experts)."""
        check_is_fitted(self, "single_output_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        quality = self.forecast(X)
        return quality[:, 0] if self.single_output_ else quality

    def forecast(self, X: Array) -> Array:
        """`predict` without its checks, which cost more than one query's forecast does."""
        return np.asarray(np.minimum(np.maximum(self._forecast(X), 0.0), 1.0))

    @abstractmethod
    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        """Learn from embeddings (n, d) and scores (n, e), NaN for missing ones."""

    @abstractmethod
    def _forecast(self, X: Array) -> Array:
        """P(correct), shape (n, e); what leaves [0, 1] is clipped."""


def rates(scores: Array) -> Array:
    """Return each expert's smoothed rate, shape (e,); 0.5 without measurements."""
    seen = ~np.isnan(scores)
    right = np.where(seen, scores, 0.0).sum(axis=0)
    return np.asarray((right + 0.5) / (seen.sum(axis=0) + 1))


def folds(n: int, groups: Any, count: int) -> list[tuple[Any, Any]]:
    """Split n queries in `count` (or fewer) parts; return the rows (kept, left) of each.

    The parts keep `groups` together, and are the same for the same queries.
    """
    if groups is None or len(np.unique(groups)) < 2:  # nothing to keep apart but the queries
        groups = np.arange(n)
    count = min(count, len(np.unique(groups)))
    if count < 2:
        return []
    splitter = GroupKFold(count, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(n), groups=groups))


def sigmoid(x: Array) -> Array:
    """The logistic function, without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def logit(p: Array, *, least: float = 1e-3) -> Array:
    """Return log-odds of probabilities clipped to `least` away from 0 and 1."""
    p = np.clip(p, least, 1 - least)
    return np.asarray(np.log(p) - np.log1p(-p))
