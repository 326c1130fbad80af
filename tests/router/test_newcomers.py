"""Newcomers: what K probes tell of an expert that the router was never fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.utils.estimator_checks import parametrize_with_checks

from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.forecasting import Forecaster
from collegium.router.heads import QualityHeads
from collegium.router.newcomers import Newcomer, choose_probes
from tests.router.synthetic import POOL, WordEncoder, fitted_router

Array = NDArray[np.float64]


@parametrize_with_checks([Newcomer()])  # type: ignore[untyped-decorator]
def test_it_is_a_scikit_learn_estimator(estimator: Any, check: Any) -> None:
    """All of scikit-learn's own checks pass."""
    check(estimator)


def world(n: int, seed: int, *, experts: int = 6) -> tuple[Array, Array, Array, Array]:
    """Queries, true probabilities and outcomes, and the newcomer's true probabilities.

    Experts are good at one of three directions each; the newcomer is like experts 0 and 3.
    Outcomes share the luck of the question: all experts see the same draw.
    """
    rng = np.random.default_rng(seed)
    centres = np.eye(3, 8)
    kind = rng.integers(3, size=n)
    X = centres[kind] + 0.1 * rng.normal(size=(n, 8))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    skilled = np.arange(experts)[None, :] % 3 == kind[:, None]
    truth = np.where(skilled, 0.85, 0.35) - 0.02 * np.arange(experts)
    luck = rng.random(n)[:, None]
    outcomes = (luck < truth).astype(np.float64)
    newcomer = np.where(kind == 0, 0.85, 0.35)
    return X, truth, outcomes, newcomer


def squared_error(found: Array, truth: Array) -> float:
    return float(np.mean((found - truth) ** 2))


def joined(k: int, seed: int, *, outcomes: bool = True) -> tuple[Array, Array, Newcomer]:
    """A newcomer after k probes: its forecasts for new queries, and the truth."""
    X, truth, known, mine = world(k, seed)
    luck = np.random.default_rng(seed)
    luck.integers(3, size=k)
    luck.normal(size=(k, 8))
    scored = (luck.random(k) < mine).astype(np.float64)  # the same draw as the others saw
    newcomer = Newcomer().fit(X, scored, forecasts=truth, outcomes=known if outcomes else None)
    new, new_truth, _, wanted = world(500, seed + 1000)
    return newcomer.predict(new, new_truth), wanted, newcomer


def test_fifty_probes_are_nearer_to_the_truth_than_a_flat_level() -> None:
    """It learns where the newcomer is good, not only how good it is."""
    errors = [squared_error(*joined(50, seed)[:2]) for seed in range(10)]
    wanted = world(500, 0)[3]
    assert np.mean(errors) < 0.4 * squared_error(np.full(500, wanted.mean()), wanted)


def test_more_probes_tell_more() -> None:
    """The error falls from 20 to 100 probes."""
    few, many = (
        np.mean([squared_error(*joined(k, seed)[:2]) for seed in range(10)]) for k in (20, 100)
    )
    assert many < 0.7 * few


def test_the_luck_of_the_question_is_discounted() -> None:
    """Knowing what the others scored on the probes makes the forecasts better."""
    blind, told = (
        np.mean([squared_error(*joined(30, seed, outcomes=known)[:2]) for seed in range(20)])
        for known in (False, True)
    )
    assert told < 0.9 * blind


def test_it_is_a_mixture_of_those_it_is_like() -> None:
    """The weights sum to one and favour experts 0 and 3."""
    weights = np.mean([joined(100, seed)[2].mixture_ for seed in range(5)], axis=0)
    assert weights.sum() == pytest.approx(1.0)
    assert set(np.argsort(-weights)[:2]) == {0, 3}


def test_the_forecast_is_the_posterior_mean() -> None:
    """The same numbers as the textbook's formula, written out."""
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(7, 4)), rng.normal(size=(3, 4))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    new /= np.linalg.norm(new, axis=1, keepdims=True)
    known, known_new = rng.uniform(0.3, 0.7, size=(7, 3)), rng.uniform(0.3, 0.7, size=(3, 3))
    y = rng.integers(2, size=7).astype(np.float64)
    made = Newcomer(population=1.0, offset_sd=0.2, own_sd=0.3, length=0.5, noise=1.0)

    def kernel(a: Array, fa: Array, b: Array, fb: Array) -> Array:
        spread_a, spread_b = fa - fa.mean(1, keepdims=True), fb - fb.mean(1, keepdims=True)
        alike: Array = spread_a @ spread_b.T / 2
        return np.asarray(0.04 + alike + 0.09 * np.exp((a @ b.T - 1) / 0.5))

    mean = known.mean(1)
    gram = kernel(X, known, X, known) + np.diag(mean * (1 - mean))
    expected = known_new.mean(1) + kernel(new, known_new, X, known) @ np.linalg.solve(
        gram, y - mean
    )
    found = made.fit(X, y, forecasts=known).predict(new, known_new)
    np.testing.assert_allclose(found, np.clip(expected, 0, 1), rtol=1e-9)


def test_without_probes_that_say_anything_it_is_the_mean_of_the_known() -> None:
    """A newcomer whose outcomes are just as forecast is an average expert."""
    X, truth, _, _ = world(40, 0)
    newcomer = Newcomer().fit(X, truth.mean(axis=1), forecasts=truth)
    np.testing.assert_allclose(newcomer.predict(X, truth), truth.mean(axis=1), atol=1e-9)


def test_an_expert_that_leaves_changes_nothing_for_the_others() -> None:
    """Heads fitted without it are the same, and so is every other expert's forecast."""
    X, _, known, _ = world(200, 1)
    kept = [0, 2, 3, 5]
    alone = QualityHeads().fit(X, known[:, kept]).predict(X)
    np.testing.assert_array_equal(QualityHeads().fit(X, known).predict(X)[:, kept], alone)

    forecaster = Forecaster(fitted_router(), Speeds(1.0))
    query = Query("sql 1")
    reading = forecaster.read(WordEncoder().encode([query.text])[0].astype(np.float64))
    everyone = {f.expert: f for f in forecaster.forecast(POOL, query, reading)}
    for gone in POOL:
        left = [expert for expert in POOL if expert is not gone]
        for forecast in forecaster.forecast(left, query, reading):
            assert forecast == everyone[forecast.expert]


def test_forecasts_of_other_experts_are_refused() -> None:
    """A newcomer is tied to the known experts that it was compared with."""
    X, truth, _, mine = world(30, 2)
    newcomer = Newcomer().fit(X, mine, forecasts=truth)
    with pytest.raises(ValueError, match="forecasts of 4 known experts"):
        newcomer.predict(X, truth[:, :4])


# --- the choice of probes ---


@pytest.mark.parametrize("told", [False, True])
def test_probes_stand_for_all_queries(told: bool) -> None:
    """Their mean is nearer to the mean of all than that of as many drawn anyhow, without bias."""
    rng = np.random.default_rng(0)
    which = rng.choice(6, size=600, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    X = np.eye(6)[which] + 0.1 * rng.normal(size=(600, 6))
    level = np.array([0.9, 0.1, 0.6, 0.3, 0.8, 0.2])[which]
    outcomes = (rng.random((600, 5)) < level[:, None]).astype(np.float64) if told else None
    chosen = [level[choose_probes(X, 24, outcomes=outcomes, seed=i)].mean() for i in range(60)]
    anyhow = [level[rng.choice(600, 24, replace=False)].mean() for _ in range(2000)]
    assert np.std(chosen) < 0.6 * np.std(anyhow)
    assert abs(np.mean(chosen) - level.mean()) < 0.01


def test_probes_keep_the_labels_shares() -> None:
    """By largest remainder: 10 probes of 60, 30 and 10 % are 6, 3 and 1."""
    X = np.random.default_rng(0).normal(size=(100, 4))
    labels = np.array(["a"] * 60 + ["b"] * 30 + ["c"] * 10)
    chosen = choose_probes(X, 10, labels=labels)
    assert [int((labels[chosen] == name).sum()) for name in "abc"] == [6, 3, 1]


@pytest.mark.parametrize("k", [1, 7, 40])
def test_probes_are_different_and_the_same_for_the_same_seed(k: int) -> None:
    """Also where queries repeat each other."""
    X = np.tile(np.random.default_rng(1).normal(size=(20, 3)), (2, 1))
    chosen = choose_probes(X, k, seed=3)
    assert len(set(chosen.tolist())) == k
    np.testing.assert_array_equal(chosen, choose_probes(X, k, seed=3))


def test_more_probes_than_queries_are_refused() -> None:
    """With both numbers."""
    with pytest.raises(ValueError, match="can't choose 5 probes from 3 queries"):
        choose_probes(np.eye(3), 5)
