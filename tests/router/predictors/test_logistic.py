"""Logistic heads: their probabilities can be believed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.predictors.base import sigmoid
from collegium.router.predictors.logistic import Logistic, as_weighted_classes

Array = NDArray[np.float64]


def logistic_world(n: int, *, slopes: Array, seed: int) -> tuple[Array, Array, Array]:
    """Queries, outcomes and the true probabilities behind them; `slopes` is (experts, d)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, slopes.shape[1]))
    truth = sigmoid(X @ slopes.T)
    return X, (rng.random(truth.shape) < truth).astype(np.float64), truth


SLOPES = np.array([[2.0, -1.0, 0.0, 0.5], [0.0, 0.7, 1.5, 0.0], [0.3, 0.0, 0.0, -0.3]])


def test_forecasts_are_the_true_probabilities() -> None:
    """Where outcomes are logistic, what is learnt is what made them."""
    X, y, _ = logistic_world(3000, slopes=SLOPES, seed=0)
    heads = Logistic().fit(X, y)

    new, _, truth = logistic_world(2000, slopes=SLOPES, seed=1)
    assert np.abs(heads.predict(new) - truth).mean() < 0.02
    np.testing.assert_allclose(heads.coef_, SLOPES, atol=0.3)


def test_forecasts_are_calibrated_where_data_are_few_and_wide() -> None:
    """With hardly more queries than dimensions, Platt's fold keeps the heads from overclaiming."""
    slopes = np.concatenate([SLOPES, np.zeros((3, 36))], axis=1)
    X, y, _ = logistic_world(120, slopes=slopes, seed=2)
    heads = Logistic(C=1000.0).fit(X, y)  # nearly separates what it saw

    new, _, truth = logistic_world(2000, slopes=slopes, seed=3)
    gap = heads.predict(new).mean(axis=0) - truth.mean(axis=0)
    assert np.abs(gap).max() < 0.1
    claimed = heads.predict(new)[:, 2]  # nearly nothing is to be learnt of the third expert
    assert np.abs(claimed - 0.5).mean() < 0.2


def test_a_scaled_head_is_still_linear() -> None:
    """Platt's scaling is folded into the weights: the logits are a plane in the embedding."""
    X, y, _ = logistic_world(400, slopes=SLOPES, seed=4)
    heads = Logistic().fit(X, y)

    a, b = X[:1], X[1:2]
    logit = [np.log(p / (1 - p)) for p in map(heads.predict, (a, b, 0.25 * a + 0.75 * b))]
    np.testing.assert_allclose(logit[2], 0.25 * logit[0] + 0.75 * logit[1], rtol=1e-6, atol=1e-9)


def test_a_missing_cell_says_nothing() -> None:
    """An expert is fitted on its own measured queries only, as if the others were not there."""
    X, y, _ = logistic_world(600, slopes=SLOPES, seed=5)
    missing = y.copy()
    missing[300:, 1] = np.nan
    heads = Logistic().fit(X, missing)

    half = Logistic().fit(X[:300], y[:300])
    np.testing.assert_allclose(heads.coef_[1], half.coef_[1])
    np.testing.assert_allclose(heads.coef_[0], Logistic().fit(X, y).coef_[0])


@pytest.mark.parametrize(("score", "expected"), [(1.0, 60.5 / 61), (0.0, 0.5 / 61)])
def test_an_expert_that_is_always_right_or_wrong_gets_its_smoothed_rate(
    score: float, expected: float
) -> None:
    """Nothing can be learnt of a difference that never showed, and nobody is right for certain."""
    X = np.random.default_rng(6).normal(size=(60, 5))
    heads = Logistic().fit(X, np.full((60, 1), score))

    assert not heads.coef_.any()
    np.testing.assert_allclose(heads.predict(X), expected)


def test_an_expert_that_was_never_measured_may_be_anything() -> None:
    """Without one outcome, right is as likely as wrong."""
    X = np.random.default_rng(7).normal(size=(30, 5))
    heads = Logistic().fit(X, np.full((30, 1), np.nan))
    np.testing.assert_allclose(heads.predict(X), 0.5)


def test_partial_credit_is_a_share_of_a_right_answer() -> None:
    """Scores of 0.7 everywhere are believed to be 0.7, however the folds fall."""
    X = np.random.default_rng(8).normal(size=(200, 3))
    heads = Logistic().fit(X, np.full((200, 1), 0.7))
    np.testing.assert_allclose(heads.predict(X), 0.7, atol=0.03)


def test_partial_credit_counts_with_its_weight() -> None:
    """0.7 is a right answer of weight 0.7 and a wrong one of 0.3; the whole ones stay whole."""
    rows, labels, weights = as_weighted_classes(np.array([1.0, 0.7, 0.0]))
    assert rows.tolist() == [0, 1, 1, 2]
    assert labels.tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(weights, [1, 0.7, 0.3, 1])


def test_partial_credit_can_be_learnt() -> None:
    """Both halves of a partly right answer are left out together.

    A head that saw the wrong half would be wrong about the right one, and be believed to know
    nothing.
    """
    slopes = np.zeros((1, 40))
    slopes[0, 0] = 1.5
    X, _, truth = logistic_world(150, slopes=slopes, seed=9)
    heads = Logistic(C=1000.0).fit(X, truth)

    new, _, truth = logistic_world(500, slopes=slopes, seed=10)
    assert np.corrcoef(heads.predict(new)[:, 0], truth[:, 0])[0, 1] > 0.8


def test_right_answers_in_one_phrasing_only_are_learnt_all_the_same() -> None:
    """A fold without that phrasing has only wrong answers to fit on, which is no reason to fail."""
    rng = np.random.default_rng(10)
    X = rng.normal(size=(100, 4))
    groups = np.repeat(np.arange(5), 20)
    y = (groups == 2).astype(np.float64)[:, None]
    X[groups == 2, 0] += 4.0
    heads = Logistic().fit(X, y, groups=groups)

    assert np.isfinite(heads.coef_).all()
    assert heads.predict(X).mean() == pytest.approx(0.2, abs=0.15)


def test_one_phrasing_is_enough_to_fit() -> None:
    """Where all queries share a phrasing there is nothing to keep apart."""
    X, y, _ = logistic_world(300, slopes=SLOPES, seed=11)
    alone = Logistic().fit(X, y, groups=np.zeros(300))
    np.testing.assert_allclose(alone.coef_, Logistic().fit(X, y).coef_)


@pytest.mark.parametrize("wrong", [np.inf, -np.inf])
def test_an_infinite_score_is_refused(wrong: float) -> None:
    """It is a bug of who measured, not a right answer."""
    X, y, _ = logistic_world(50, slopes=SLOPES, seed=12)
    y[3, 1] = wrong
    with pytest.raises(ValueError, match="infinity"):
        Logistic().fit(X, y)


def test_scores_of_other_queries_are_refused() -> None:
    """As many rows of outcomes as of embeddings."""
    X, y, _ = logistic_world(50, slopes=SLOPES, seed=13)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Logistic().fit(X, y[:-1])


def test_the_logistic_function_does_not_overflow() -> None:
    """Far logits are 0 and 1, without a warning."""
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])
