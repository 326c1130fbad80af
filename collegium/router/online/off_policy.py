"""Evaluate a policy on decisions that another policy made and logged.

All functions take arrays over the n logged decisions: the `reward` seen, the `propensity` with
which the logging policy made the choice, and the `target` policy's probability of that choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Z95 = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A policy's expected reward, its 95 % interval, and how many decisions it rests on."""

    value: float
    low: float
    high: float
    effective: float
    """Effective sample size of the weights (Kish); if it is far below n, mistrust the interval."""


def importance_sampling(reward: Array, propensity: Array, target: Array) -> Estimate:
    """IPS (Horvitz and Thompson 1952): unbiased, but noisy if the policies differ."""
    weights = _weights(propensity, target)
    return _estimate(weights * reward, weights)


def self_normalised(reward: Array, propensity: Array, target: Array) -> Estimate:
    """SNIPS (Swaminathan and Joachims 2015): a weighted mean, less noisy, biased by O(1/n)."""
    weights = _weights(propensity, target)
    total = weights.mean()
    if total == 0:
        return Estimate(np.nan, np.nan, np.nan, 0.0)
    value = float((weights * reward).mean() / total)
    return _estimate(value + weights * (reward - value) / total, weights)  # the delta method


def doubly_robust(
    reward: Array, propensity: Array, target: Array, model_logged: Array, model_target: Array
) -> Estimate:
    """DR (Dudík, Langford and Li 2011): right if the propensities or the model of rewards are.

    `model_logged` (n,) is the model's reward for the choice that was made, `model_target` (n,) its
    expected reward under the target policy. The model must not have seen these rewards.
    """
    weights = _weights(propensity, target)
    return _estimate(model_target + weights * (reward - model_logged), weights)


def _weights(propensity: Array, target: Array) -> Array:
    if propensity.shape != target.shape or propensity.ndim != 1:
        raise ValueError(f"propensities {propensity.shape} and targets {target.shape} differ")
    if not len(propensity) or not (propensity > 0).all():
        raise ValueError("every logged choice needs a propensity above 0")
    return np.asarray(target / propensity)


def _estimate(terms: Array, weights: Array) -> Estimate:
    n = len(terms)
    value = float(terms.mean())
    error = Z95 * float(terms.std(ddof=1)) / np.sqrt(n) if n > 1 else np.inf
    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    return Estimate(value, value - error, value + error, effective)
