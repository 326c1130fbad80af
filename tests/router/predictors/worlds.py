"""Small worlds with a known truth, in which predictors learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DOMAINS = ("law", "maths", "poems")
RATES = np.array([[0.9, 0.2, 0.6, 0.5], [0.2, 0.9, 0.3, 0.5], [0.3, 0.2, 0.9, 0.5]])
"""P(correct) by domain and expert."""


@dataclass(frozen=True)
class World:
    """Queries of three domains, each expert good at one, and the chances behind the outcomes."""

    X: Array
    y: Array
    labels: NDArray[Any]
    truth: Array


def specialists(n: int, *, seed: int, missing: float = 0.0, dimensions: int = 10) -> World:
    """`n` queries; the share `missing` of their outcomes is NaN."""
    rng = np.random.default_rng(seed)
    domain = rng.integers(0, len(DOMAINS), n)
    X = np.eye(dimensions)[domain] + 0.15 * rng.normal(size=(n, dimensions))
    truth = RATES[domain]
    y = (rng.random(truth.shape) < truth).astype(np.float64)
    y[rng.random(y.shape) < missing] = np.nan
    return World(X, y, np.array(DOMAINS)[domain], truth)


def regret(forecast: Array, truth: Array) -> float:
    """The mean chance that is lost by asking the expert with the highest forecast."""
    chosen = np.take_along_axis(truth, forecast.argmax(axis=1)[:, None], axis=1)[:, 0]
    return float((truth.max(axis=1) - chosen).mean())
