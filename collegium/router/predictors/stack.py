"""A stack: several predictors' forecasts, weighted by how well they forecast unseen queries."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import nnls
from sklearn.base import clone

from collegium.router.predictors.base import Array, Predictor, folds, rates
from collegium.router.predictors.knn import TunedKnn
from collegium.router.predictors.linear import Linear


class Stack(Predictor):
    """Non-negative weights over base predictors, learnt from out-of-fold forecasts.

    Breiman, "Stacked regressions" (1996).
    """

    state = ("fitted_", "weights_", "rates_")

    def __init__(self, folds: int = 5) -> None:
        self.folds = folds

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        bases: list[Predictor] = [Linear(), TunedKnn()]
        self.rates_ = rates(scores)
        forecasts = np.tile(self.rates_, (len(bases), len(X), 1))
        for kept, left in folds(len(X), groups, self.folds):
            for i, base in enumerate(bases):
                fold = clone(base).fit(X[kept], scores[kept])
                forecasts[i, left] = fold.predict(X[left])
        seen = ~np.isnan(scores)
        design = np.array([(f - self.rates_)[seen] for f in forecasts]).T
        self.weights_ = (
            nnls(design, (scores - self.rates_)[seen])[0] if len(design) else np.zeros(2)
        )
        self.fitted_ = [base.fit(X, scores) for base in bases]

    def _forecast(self, X: Array) -> Array:
        parts = [
            w * (b.predict(X) - self.rates_)
            for w, b in zip(self.weights_, self.fitted_, strict=True)
        ]
        return np.asarray(self.rates_ + np.sum(parts, axis=0))
