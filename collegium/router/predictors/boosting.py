"""Gradient boosting: shallow trees on the principal components of the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from collegium.router.predictors.base import Array, Predictor, rates


class Boosting(Predictor):
    """A histogram gradient boosting (scikit-learn) for each expert, with squared loss.

    Its trees can't be written as plain arrays, so it can't be saved and is in no default.
    """

    state = ()
    saveable = False

    def __init__(self, components: int = 32, trees: int = 60, leaves: int = 8) -> None:
        self.components = components
        self.trees = trees
        self.leaves = leaves

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        self.rates_, self.centre_ = rates(scores), X.mean(axis=0)
        _, _, axes = np.linalg.svd(X - self.centre_, full_matrices=False)
        self.axes_ = axes[: self.components].T
        rotated = (X - self.centre_) @ self.axes_
        self.trees_ = [self._fit_one(rotated, column) for column in scores.T]

    def _fit_one(self, X: Array, column: Array) -> HistGradientBoostingRegressor | None:
        seen = ~np.isnan(column)
        if len(np.unique(column[seen])) < 2:  # nothing to tell apart
            return None
        trees = HistGradientBoostingRegressor(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            learning_rate=0.06,
            l2_regularization=10.0,
            early_stopping=False,
            random_state=0,
        )
        return trees.fit(X[seen], column[seen])

    def _forecast(self, X: Array) -> Array:
        rotated = (X - self.centre_) @ self.axes_
        columns = [
            np.full(len(X), rate) if trees is None else trees.predict(rotated)
            for rate, trees in zip(self.rates_, self.trees_, strict=True)
        ]
        return np.array(columns).T
