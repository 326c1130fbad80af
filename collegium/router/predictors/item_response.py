"""Item response theory: a query's difficulty and skills, and each expert's ability."""

from __future__ import annotations

from typing import Any

import numpy as np

from collegium.router.predictors.base import Array, Predictor, logit, rates, sigmoid
from collegium.router.predictors.gradient import Arrays, cross_entropy, descend


class ItemResponse(Predictor):
    """P(correct) = sigmoid(discrimination(query) . ability(expert) - difficulty(query)).

    Multidimensional item response theory with both of the query's parts read off its embedding,
    as in IRT-Router (arXiv 2506.01048). Discriminations are not negative, so that more ability
    never harms: that sets it apart from a matrix factorisation.
    """

    state = ("discrimination_", "offset_", "ability_", "difficulty_", "ease_", "centre_")

    def __init__(self, abilities: int = 8, penalty: float = 3e-4, steps: int = 150) -> None:
        self.abilities = abilities
        self.penalty = penalty
        self.steps = steps

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        rng = np.random.default_rng(0)
        self.centre_ = X.mean(axis=0)
        X = X - self.centre_

        def loss(arrays: Arrays) -> tuple[float, Arrays]:
            weights, offset, ability, difficulty, ease = arrays
            raw = X @ weights + offset
            asked = np.logaddexp(0.0, raw)
            logits = asked @ ability.T - (X @ difficulty)[:, None] + ease
            value, slope = cross_entropy(logits, scores)
            squares = sum(float((a**2).sum()) for a in (weights, ability, difficulty))
            inner = slope @ ability * sigmoid(raw)
            return value + self.penalty * squares, [
                X.T @ inner + 2 * self.penalty * weights,
                inner.sum(axis=0),
                slope.T @ asked + 2 * self.penalty * ability,
                -(X.T @ slope.sum(axis=1)) + 2 * self.penalty * difficulty,
                slope.sum(axis=0),
            ]

        start = [
            rng.normal(size=(X.shape[1], self.abilities)) * 0.1,
            np.zeros(self.abilities),
            rng.normal(size=(scores.shape[1], self.abilities)) * 0.3,
            np.zeros(X.shape[1]),
            logit(rates(scores)),
        ]
        learnt = descend(loss, start, steps=self.steps)
        self.discrimination_, self.offset_, self.ability_, self.difficulty_, self.ease_ = learnt

    def _forecast(self, X: Array) -> Array:
        X = X - self.centre_
        asked = np.logaddexp(0.0, X @ self.discrimination_ + self.offset_)
        hard = (X @ self.difficulty_)[:, None]
        return sigmoid(asked @ self.ability_.T - hard + self.ease_)
