"""A logistic head per expert, Platt-scaled out of fold."""

from __future__ import annotations

from typing import Any

from collegium.router.heads import QualityHeads
from collegium.router.predictors.base import Array, Predictor, sigmoid


class Logistic(Predictor):
    """`QualityHeads` as a predictor: each expert apart, nothing shared between them."""

    state = ("coef_", "intercept_")

    def __init__(self, C: float = 3.0, folds: int = 5) -> None:
        self.C = C
        self.folds = folds

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        heads = QualityHeads(C=self.C, folds=self.folds).fit(X, scores, groups=groups)
        self.coef_, self.intercept_ = heads.coef_, heads.intercept_

    def _forecast(self, X: Array) -> Array:
        return sigmoid(X @ self.coef_.T + self.intercept_)
