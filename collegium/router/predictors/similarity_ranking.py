"""Similarity-weighted ranking: a Bradley-Terry model of the experts, fitted for each query."""

from __future__ import annotations

from typing import Any

import numpy as np

from collegium.router.predictors.base import Array, Predictor, rates, sigmoid
from collegium.router.predictors.knn import unit

STEPS = 30


class SimilarityRanking(Predictor):
    """Measured queries vote with weight `base` ** (1 + cosine / the largest cosine).

    RouteLLM (arXiv 2406.18665) fits two models' Bradley-Terry strengths by such weights. Here all
    pairs of experts play; a pair's winner is the one with the better outcome, a tie is half a win
    each. The strengths rank; they are shifted so that the experts are right as often on average as
    the same weights say. It reads every measured query at every forecast: a reference, not fast.
    """

    state = ("vectors_", "wins_", "known_", "seen_", "rates_")

    def __init__(self, base: float = 1e4) -> None:
        self.base = base

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        self.vectors_ = unit(X)
        self.rates_ = rates(scores)
        self.seen_ = (~np.isnan(scores)).astype(np.float64)
        self.known_ = np.where(np.isnan(scores), 0.0, scores)
        self.wins_ = pair_wins(scores)

    def _forecast(self, X: Array) -> Array:
        experts = len(self.rates_)
        cosines = unit(X) @ self.vectors_.T
        largest = np.maximum(cosines.max(axis=1, keepdims=True), 1e-9)
        weights = self.base ** (np.clip(cosines / largest, -1.0, 1.0) - 1.0)
        wins = np.einsum("nm,mp->np", weights, self.wins_).reshape(-1, experts, experts)
        right = weights @ self.known_ + self.rates_
        level = right / (weights @ self.seen_ + 1.0)
        return shifted(bradley_terry(wins), level.mean(axis=1))


def pair_wins(scores: Array) -> Array:
    """Which expert beat which on each query, shape (n, e * e): 1, ½ for a tie, 0 if unmeasured."""
    difference = scores[:, :, None] - scores[:, None, :]
    won = np.where(np.isnan(difference), 0.0, (np.sign(difference) + 1) / 2)
    won[:, np.arange(scores.shape[1]), np.arange(scores.shape[1])] = 0.0
    return np.asarray(won.reshape(len(scores), -1))


def bradley_terry(wins: Array) -> Array:
    """Log-strengths (n, e) that explain wins (n, e, e), by Hunter's MM steps (2004)."""
    games = wins + wins.transpose(0, 2, 1)
    tie = 0.5 / wins.shape[1]  # one tie more with everybody keeps the strengths finite
    games = games + 2 * tie
    won = (wins + tie).sum(axis=2)
    strength = np.ones(won.shape)
    for _ in range(STEPS):
        against = (games / (strength[:, :, None] + strength[:, None, :])).sum(axis=2)
        strength = won / against
        strength /= np.exp(np.log(strength).mean(axis=1, keepdims=True))
    return np.asarray(np.log(strength))


def shifted(strengths: Array, level: Array) -> Array:
    """P(correct) = sigmoid(strength + shift), with the shift that makes each row's mean `level`."""
    low, high = np.full(len(level), -30.0), np.full(len(level), 30.0)
    for _ in range(60):
        middle = (low + high) / 2
        over = sigmoid(strengths + middle[:, None]).mean(axis=1) > level
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return sigmoid(strengths + low[:, None])
