"""Off-policy estimates against a world whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.online.off_policy import (
    Estimate,
    doubly_robust,
    importance_sampling,
    self_normalised,
)

Array = NDArray[np.float64]
REWARDS = np.array([[0.8, 0.3, 0.5], [0.2, 0.6, 0.4]])
"""The probability of a reward, by kind of query and expert."""
LOGGING = np.array([[0.6, 0.2, 0.2], [0.5, 0.2, 0.3]])
TARGET = np.array([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])
TRUTH = float((0.5 * TARGET * REWARDS).sum())
WRONG_MODEL = np.array([[0.5, 0.5, 0.9], [0.5, 0.1, 0.5]])
Log = tuple[Array, Array, Array, Array, Array]


def log(n: int, seed: int, model: Array = WRONG_MODEL) -> Log:
    """Rewards, propensities, target probabilities, and the model's two columns."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=n)
    expert = (rng.random(n)[:, None] > LOGGING[kind].cumsum(axis=1)).sum(axis=1)
    reward = (rng.random(n) < REWARDS[kind, expert]).astype(np.float64)
    expected = (TARGET * model).sum(axis=1)[kind]
    return reward, LOGGING[kind, expert], TARGET[kind, expert], model[kind, expert], expected


def ips(made: Log) -> Estimate:
    return importance_sampling(*made[:3])


def snips(made: Log) -> Estimate:
    return self_normalised(*made[:3])


def dr(made: Log) -> Estimate:
    return doubly_robust(*made)


ESTIMATORS = [ips, snips, dr]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimates_are_not_biased(estimator: Callable[[Log], Estimate]) -> None:
    """The mean of 400 logs is the truth, within four of its standard errors and 1/n."""
    values = np.array([estimator(log(500, seed)).value for seed in range(400)])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - TRUTH) < 4 * error + 1 / 500


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_intervals_hold_the_truth(estimator: Callable[[Log], Estimate]) -> None:
    """95 % of them; of 400 logs at least 92 % and at most 98 %."""
    found = [estimator(log(500, seed)) for seed in range(400)]
    assert 0.92 <= np.mean([each.low <= TRUTH <= each.high for each in found]) <= 0.98


def test_the_mean_of_the_log_is_another_number() -> None:
    """Without the weights one would judge the logging policy: 0.036 off."""
    reward = log(100_000, 0)[0]
    assert abs(reward.mean() - TRUTH) > 0.03


def test_a_good_model_makes_the_estimate_surer() -> None:
    """With the true rewards as model, the doubly robust interval is narrower than that of IPS."""
    good = log(2_000, 1, REWARDS)
    assert dr(good).high - dr(good).low < 0.8 * (ips(good).high - ips(good).low)


def test_doubly_robust_survives_wrong_propensities() -> None:
    """Where the model is right, weights that are wrong do no harm; IPS is off."""
    reward, propensity, target, logged, expected = log(50_000, 2, REWARDS)
    off = (reward, np.full_like(propensity, 1 / 3), target, logged, expected)
    assert abs(dr(off).value - TRUTH) < 0.01
    assert abs(ips(off).value - TRUTH) > 0.05


def test_judging_the_logging_policy_is_taking_the_mean() -> None:
    """All weights are one, and all decisions count."""
    reward, propensity, *_ = log(300, 3)
    found = importance_sampling(reward, propensity, propensity)
    assert found.value == pytest.approx(reward.mean())
    assert found.effective == pytest.approx(300)


def test_a_choice_without_propensity_is_refused() -> None:
    """It can't be weighted."""
    with pytest.raises(ValueError, match="propensity above 0"):
        importance_sampling(np.ones(2), np.array([0.5, 0.0]), np.ones(2))


def test_a_policy_that_never_agrees_has_no_self_normalised_value() -> None:
    """Nothing was seen of it."""
    found = self_normalised(np.ones(3), np.full(3, 0.5), np.zeros(3))
    assert np.isnan(found.value)
    assert found.effective == 0
