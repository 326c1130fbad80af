"""The stack: weights that follow from out-of-fold forecasts, and what they can't do."""

from __future__ import annotations

import numpy as np

from collegium.router.predictors.base import folds, rates
from collegium.router.predictors.knn import Knn
from collegium.router.predictors.linear import Linear, common_and_differences, filled, ridge
from collegium.router.predictors.stack import (
    Stack,
    contest,
    routed,
    shrunk_nnls,
    stack_weights,
    sure_gain,
)
from tests.router.predictors.worlds import specialists


def test_weights_of_many_outcomes_are_least_squares() -> None:
    """With little noise the belief around equal weights does not count."""
    rng = np.random.default_rng(0)
    design = rng.normal(size=(5000, 3))
    target = design @ [0.7, 0.0, 0.2] + 0.05 * rng.normal(size=5000)
    np.testing.assert_allclose(shrunk_nnls(design, target), [0.7, 0.0, 0.2], atol=0.01)


def test_weights_of_noise_stay_equal() -> None:
    """Where outcomes say nothing of the bases, each counts as much as the others."""
    rng = np.random.default_rng(1)
    design = 0.01 * rng.normal(size=(50, 4))
    np.testing.assert_allclose(shrunk_nnls(design, rng.normal(size=50)), 0.25, atol=0.02)


def test_difficulty_and_differences_are_weighted_apart() -> None:
    """One base knows how hard a query is, another who is better: both get their part."""
    rng = np.random.default_rng(2)
    hard, differences = rng.normal(size=(2000, 1)), rng.normal(size=(2000, 4))
    differences -= differences.mean(axis=1, keepdims=True)
    hard, differences = 0.05 * hard, 0.05 * differences
    scores = hard + differences + 0.005 * rng.normal(size=(2000, 4))
    bases = np.array([np.repeat(hard, 4, axis=1), differences])
    common, difference = stack_weights(bases, scores, np.zeros(4))
    assert common[0] > 0.95
    assert difference[1] > 0.95


def test_hopeless_experts_have_no_part_in_the_contest() -> None:
    """By hand: equal ones share, one that is 0.05 below counts 1/e as much, unmeasured ones not."""
    forecast = np.array([[0.9, 0.9, 0.1], [0.6, 0.55, 0.9]])
    seen = np.array([[True, True, True], [True, True, False]])
    parts = contest(forecast, seen)
    np.testing.assert_allclose(parts[0], [0.5, 0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(parts[1, 1] / parts[1, 0], np.exp(-1))
    assert parts[1, 2] == 0


def test_a_base_that_knows_nothing_of_unseen_queries_gets_no_weight() -> None:
    """One nearest neighbour recalls what it saw without fail, and is no good on what it did not."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(800, 20))
    chance = np.clip(0.5 + 0.25 * X[:, :3], 0.02, 0.98)
    y = (rng.random(chance.shape) < chance).astype(np.float64)
    stack = Stack(bases=[Linear(), Knn(k=1)]).fit(X, y)
    assert stack.difference_[0] > 0.6
    assert stack.difference_[1] < 0.2


def test_groups_stay_together() -> None:
    """Copies of a query in two folds make the neighbour look wise; as groups they don't."""
    data = specialists(600, seed=4)
    noise = np.random.default_rng(5).integers(0, 2, (600, 4)).astype(np.float64)
    X, y, groups = (np.repeat(a, 4, axis=0) for a in (data.X, noise, np.arange(600)))
    apart = Stack(bases=[Knn(k=2)]).fit(X, y)
    together = Stack(bases=[Knn(k=2)]).fit(X, y, groups=groups)
    assert apart.difference_[0] > 0.9
    assert together.difference_[0] < 0.7 * apart.difference_[0]


def test_the_routed_outcome_by_hand() -> None:
    """The second query's choice was never measured, so only the others count in the sure gain."""
    forecasts = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.4]])
    scores = np.array([[1.0, 0.0], [1.0, np.nan], [1.0, 0.5]])
    gains = routed(forecasts, scores)
    np.testing.assert_array_equal(gains, [1.0, np.nan, 0.5])
    np.testing.assert_allclose(sure_gain(gains), 0.75 - 0.25 / np.sqrt(2))
    assert sure_gain(np.array([np.nan])) == 0.0


def test_many_equal_experts_are_not_chosen_for_noise() -> None:
    """Where one expert is better everywhere, forty others do not lure queries away from it."""
    rng = np.random.default_rng(12)
    truth = np.full((300, 41), 0.85)
    truth[:, 7] = 0.95
    X = rng.normal(size=(300, 30))
    stack = Stack(bases=[Linear(), Knn(k=3)]).fit(X, (rng.random(truth.shape) < truth) * 1.0)
    chosen = stack.predict(rng.normal(size=(500, 30))).argmax(axis=1)
    assert (chosen == 7).mean() > 0.9


def test_folds_leave_each_query_out_once_and_keep_groups() -> None:
    """Each row is left out in one part, with all of its group."""
    groups = np.arange(20) // 2
    parts = folds(20, groups, 5)
    assert sorted(np.concatenate([left for _, left in parts])) == list(range(20))
    for kept, left in parts:
        assert not set(groups[kept]) & set(groups[left])
    assert folds(1, None, 5) == []


def test_one_expert_is_a_stack_too() -> None:
    """There are no differences, and its chance is still learnt."""
    data, new = specialists(500, seed=6), specialists(200, seed=7)
    forecast = Stack().fit(data.X, data.y[:, :1], labels=data.labels).predict(new.X)
    assert np.abs(forecast - new.truth[:, :1]).mean() < 0.08


def test_the_ridge_is_a_ridge() -> None:
    """With one penalty it solves the normal equations of centred data."""
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(60, 5)), rng.random((60, 3))
    coef, intercept = ridge(X, y, (0.5,))
    C = X - X.mean(axis=0)
    gram = C.T @ C
    penalty = 0.5 * np.linalg.eigvalsh(gram).mean()
    expected = np.linalg.solve(gram + penalty * np.eye(5), C.T @ (y - y.mean(axis=0))).T
    np.testing.assert_allclose(coef, expected, atol=1e-10)
    np.testing.assert_allclose(intercept, y.mean(axis=0) - expected @ X.mean(axis=0), atol=1e-10)


def test_the_penalty_is_that_of_the_least_leave_one_out_error() -> None:
    """As found by leaving out one query after the other and fitting again."""
    rng = np.random.default_rng(9)
    X = rng.normal(size=(40, 6))
    y = X[:, :1] * 0.3 + rng.normal(size=(40, 1))
    penalties = (0.1, 1.0, 10.0)
    errors = []
    for penalty in penalties:
        C = X - X.mean(axis=0)
        scale = penalty * np.linalg.eigvalsh(C.T @ C).mean()
        D = np.hstack([np.ones((40, 1)), C])
        hat = D @ np.linalg.solve(D.T @ D + scale * np.diag([0, 1, 1, 1, 1, 1, 1]), D.T)
        errors.append(float((((y - hat @ y)[:, 0] / (1 - np.diag(hat))) ** 2).mean()))
    best = penalties[int(np.argmin(errors))]
    np.testing.assert_allclose(ridge(X, y, penalties)[0], ridge(X, y, (best,))[0])


def test_the_rotation_is_one_and_starts_with_the_mean() -> None:
    """Orthogonal, its first column the same for all experts."""
    rotation = common_and_differences(np.random.default_rng(10).random((50, 6)))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(np.abs(rotation[:, 0]), 6**-0.5)


def test_missing_cells_are_filled_between_rate_and_row() -> None:
    """By hand: both others were right where they are right half the time, so the third may be."""
    scores = np.array([[1.0, 1.0, np.nan], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    usual = rates(scores)
    np.testing.assert_allclose(usual, [0.5, 0.5, 0.375])
    np.testing.assert_allclose(filled(scores)[0, 2], 0.375 + (0.5 + 0.5) / 3)
    np.testing.assert_array_equal(filled(scores)[1:], scores[1:])
