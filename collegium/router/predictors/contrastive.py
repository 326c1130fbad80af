"""Contrastive: queries are moved toward experts that answer them correctly, and away from
others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from collegium.router.predictors.base import Array, Predictor, logit, rates, sigmoid
from collegium.router.predictors.gradient import Arrays, cross_entropy, descend
from collegium.router.predictors.knn import unit


class Contrastive(Predictor):
    """RouterDC (arXiv 2409.19886) on frozen embeddings: a projection and a vector an expert.

    Learnt with the paper's sample-expert loss: the softmax of a query's cosines to the experts
    should be where its best outcomes are. (Its second loss shapes the encoder, which is frozen
    here.) Cosines only rank; a scale and a bias an expert turn them into P(correct).
    """

    state = ("projection_", "experts_", "scale_", "bias_", "centre_")

    def __init__(
        self,
        dimensions: int = 24,
        temperature: float = 0.5,
        sharpness: float = 0.3,
        penalty: float = 1e-5,
        steps: int = 300,
    ) -> None:
        self.dimensions = dimensions
        self.temperature = temperature
        self.sharpness = sharpness
        self.penalty = penalty
        self.steps = steps

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        rng = np.random.default_rng(0)
        self.centre_ = X.mean(axis=0)
        X = X - self.centre_
        wanted = preferences(scores, self.sharpness)

        def loss(arrays: Arrays) -> tuple[float, Arrays]:
            value, *gradients = self._contrast(X, wanted, *arrays)
            value += self.penalty * float((arrays[0] ** 2).sum())
            return value, [gradients[0] + 2 * self.penalty * arrays[0], gradients[1]]

        start = [
            rng.normal(size=(X.shape[1], self.dimensions)),
            rng.normal(size=(scores.shape[1], self.dimensions)),
        ]
        self.projection_, experts = descend(loss, start, steps=self.steps)
        self.experts_ = unit(experts)
        self._calibrate(X, scores)

    def _contrast(
        self, X: Array, wanted: Array, projection: Array, experts: Array
    ) -> tuple[float, Array, Array]:
        """Cross-entropy of the softmax of cosines, and its gradients."""
        raw = X @ projection
        hidden, keys = unit(raw), unit(experts)
        logits = np.where(np.isnan(wanted), -np.inf, hidden @ keys.T / self.temperature)
        top = np.max(logits, axis=1, keepdims=True, initial=-1e9)
        odds = np.exp(logits - top)
        total = np.maximum(odds.sum(axis=1, keepdims=True), 1e-300)
        known = np.where(np.isnan(wanted), 0.0, wanted)
        losses = np.where(known > 0, known * (np.log(total) - np.maximum(logits - top, -1e9)), 0)
        slope = (odds / total * known.sum(axis=1, keepdims=True) - known) / len(X)
        slope /= self.temperature
        to_hidden, to_keys = slope @ keys, slope.T @ hidden
        return (
            float(losses.sum() / len(X)),
            X.T @ along_sphere(to_hidden, hidden, raw),
            along_sphere(to_keys, keys, experts),
        )

    def _calibrate(self, X: Array, scores: Array) -> None:
        cosines = unit(X @ self.projection_) @ self.experts_.T

        def loss(arrays: Arrays) -> tuple[float, Arrays]:
            scale, bias = arrays
            value, slope = cross_entropy(cosines * scale + bias, scores)
            return value, [np.array([(slope * cosines).sum()]), slope.sum(axis=0)]

        start = [np.ones(1), logit(rates(scores))]
        self.scale_, self.bias_ = descend(loss, start, steps=50)

    def _forecast(self, X: Array) -> Array:
        cosines = unit((X - self.centre_) @ self.projection_) @ self.experts_.T
        return sigmoid(cosines * self.scale_ + self.bias_)


def preferences(scores: Array, sharpness: float) -> Array:
    """Return each expert's preference for a query, shape (n, e): a softmax over measured outcomes.

    Unmeasured cells stay NaN; a query on which all do alike wants nobody in particular.
    """
    seen = ~np.isnan(scores)
    odds = np.where(seen, np.exp((np.where(seen, scores, 0.0) - 1.0) / sharpness), 0.0)
    return np.where(seen, odds / np.maximum(odds.sum(axis=1, keepdims=True), 1e-300), np.nan)


def along_sphere(slope: Array, direction: Array, raw: Array) -> Array:
    """The gradient in a vector, given the one in its unit direction."""
    length = np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
    inward = (slope * direction).sum(axis=1, keepdims=True)
    return np.asarray((slope - inward * direction) / length)
