"""Matrix factorisation: queries and experts as short vectors whose product says who is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from collegium.router.predictors.base import Array, Predictor, logit, rates, sigmoid
from collegium.router.predictors.gradient import Arrays, cross_entropy, descend


class MatrixFactorisation(Predictor):
    """The logit of P(correct) is a query's projection times the expert's vector, plus its bias.

    RouteLLM (arXiv 2406.18665) learns this for two models from preferences; here it is for any
    number of experts and from outcomes, so that each has an absolute chance.
    """

    state = ("projection_", "experts_", "bias_", "centre_")

    def __init__(self, rank: int = 12, penalty: float = 3e-4, steps: int = 150) -> None:
        self.rank = rank
        self.penalty = penalty
        self.steps = steps

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        rng = np.random.default_rng(0)
        self.centre_ = X.mean(axis=0)
        X = X - self.centre_

        def loss(arrays: Arrays) -> tuple[float, Arrays]:
            projection, experts, bias = arrays
            hidden = X @ projection
            value, slope = cross_entropy(hidden @ experts.T + bias, scores)
            value += self.penalty * float((projection**2).sum() + (experts**2).sum())
            return value, [
                X.T @ (slope @ experts) + 2 * self.penalty * projection,
                slope.T @ hidden + 2 * self.penalty * experts,
                slope.sum(axis=0),
            ]

        start = [
            rng.normal(size=(X.shape[1], self.rank)) * 0.1,
            rng.normal(size=(scores.shape[1], self.rank)) * 0.5,
            logit(rates(scores)),
        ]
        self.projection_, self.experts_, self.bias_ = descend(loss, start, steps=self.steps)

    def _forecast(self, X: Array) -> Array:
        hidden = (X - self.centre_) @ self.projection_
        return sigmoid(hidden @ self.experts_.T + self.bias_)
