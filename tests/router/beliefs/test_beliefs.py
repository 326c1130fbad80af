"""Beliefs: one estimator from the overall rates to the query, against worlds that are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.beliefs.beliefs import FEWEST, LEAST, MOST, Beliefs
from collegium.router.predictors.base import rates
from collegium.router.predictors.knn import Knn
from tests.router.beliefs.worlds import by_application, noise

Array = NDArray[np.float64]
WORLD = by_application()


@pytest.fixture(scope="module")
def beliefs() -> Beliefs:
    """What the marks of twelve applications say."""
    return Beliefs().fit(WORLD.X, WORLD.scores, WORLD.applications)


def test_the_rates_of_an_application_are_found(beliefs: Beliefs) -> None:
    """New queries of applications with marks: far nearer to the truth than the overall rates."""
    new = by_application(seed=1)
    found = beliefs.forecast(new.X, new.applications)
    error = np.abs(found.quality - new.rates).mean()
    assert error < 0.09
    assert error < 0.5 * np.abs(beliefs.rates_ - new.rates).mean()
    assert found.evidence.mean() > 0.9


def test_without_an_application_the_query_tells(beliefs: Beliefs) -> None:
    """Its queries look like those of its application."""
    new = by_application(seed=1)
    found = beliefs.forecast(new.X)
    assert np.abs(found.quality - new.rates).mean() < 0.12


def test_far_from_all_marks_the_overall_rates_remain(beliefs: Beliefs) -> None:
    """For anonymous queries and for unmarked applications; a marked one keeps its own rates."""
    far = -5 * WORLD.X.mean(axis=0) + 20 * np.eye(1, WORLD.X.shape[1])
    assert beliefs.evidence_.weights(far)[0] == 0.0
    for asked in ([None], ["nobody"]):
        found = beliefs.forecast(far, asked)
        np.testing.assert_allclose(found.quality[0], beliefs.rates_)
        np.testing.assert_allclose(beliefs.rates_, rates(WORLD.scores))
    known = beliefs.forecast(far, ["application 3"]).quality[0]
    assert np.abs(known - WORLD.rates[3 * 30]).max() < np.abs(beliefs.rates_ - known).max()


def test_a_marked_application_is_believed_more_surely(beliefs: Beliefs) -> None:
    """Than one that nobody knows."""
    found = beliefs.forecast(WORLD.X[[0, 0]], ["application 0", None])
    assert (found.deviation[0] < found.deviation[1]).all()


def test_where_applications_tell_nothing_of_each_other_a_new_one_gets_the_rates() -> None:
    """The weights of that setting come from applications that were left out as wholes."""
    world = noise()
    rng = np.random.default_rng(3)
    table = rng.uniform(0.05, 0.95, size=(80, 2))[np.arange(240) // 3]
    scores = (rng.random(table.shape) < table).astype(np.float64)
    beliefs = Beliefs([Knn(3)]).fit(world.X, scores, world.applications)
    found = beliefs.forecast(noise(seed=1).X, ["new"] * 240).quality
    assert np.abs(found - beliefs.rates_).mean() < 0.06


def test_each_application_has_a_number_and_others_have_none(beliefs: Beliefs) -> None:
    """In the order of their names."""
    assert beliefs.number("application 0") == 0
    assert (beliefs.number("nobody"), beliefs.number(None)) == (None, None)
    assert [beliefs.number(name) for name in beliefs.applications_] == list(range(12))


@pytest.mark.parametrize("marks", [1, 2, 5, 20, FEWEST - 1, FEWEST])
@pytest.mark.parametrize("known", [True, False])
def test_any_number_of_marks_is_enough(marks: int, known: bool) -> None:
    """Nobody is called certain, and predictors of the query join only when they can be judged."""
    world = by_application(count=3, each=50, seed=marks)
    rows = np.random.default_rng(marks).permutation(150)[:marks]
    names = [world.applications[i] for i in rows] if known else None
    beliefs = Beliefs().fit(world.X[rows], np.ones((marks, 3)), names)
    for asked in (["application 0"], [None]):
        found = beliefs.forecast(world.X[:1], asked)
        assert ((found.quality >= LEAST) & (found.quality <= MOST)).all()
        assert np.isfinite(found.deviation).all()
    assert bool(beliefs.bases_) is (marks >= FEWEST)


def test_experts_without_a_mark_are_even() -> None:
    """And prompts that nobody was asked are no error."""
    scores = WORLD.scores.copy()
    scores[:, 1] = np.nan
    scores[5] = np.nan
    beliefs = Beliefs().fit(WORLD.X, scores, WORLD.applications)
    found = beliefs.forecast(WORLD.X, WORLD.applications).quality
    np.testing.assert_allclose(beliefs.rates_[1], 0.5)
    assert np.isfinite(found).all()


def test_held_forecasts_learnt_nothing_by_heart() -> None:
    """Coins: what saw its own score foretells it, what did not does not."""
    held, by_heart = [], []
    for seed in range(5):
        world = noise(seed=seed)
        beliefs = Beliefs([Knn(1)]).fit(world.X, world.scores, world.applications)
        rows = [beliefs.number(name) or 0 for name in world.applications]
        held.append(correlation(beliefs.held_.quality, world.scores))
        by_heart.append(correlation(beliefs.table_.table_[rows], world.scores))
        np.testing.assert_array_equal(beliefs.held_.scores, world.scores)
    assert min(by_heart) > 0.4
    assert np.mean(held) < 0.1


def correlation(forecast: Array, scores: Array) -> float:
    """Of all cells."""
    return float(np.corrcoef(forecast.ravel(), scores.ravel())[0, 1])


def test_a_score_moves_its_own_held_forecast_only_as_one_of_many() -> None:
    """By way of the overall rates and the weights, never by its own row or its neighbours'."""
    world = by_application(count=6, each=20)
    before = Beliefs([Knn(1)]).fit(world.X, world.scores, world.applications)
    for row in (0, 37, 119):
        scores = world.scores.copy()
        scores[row] = 1 - scores[row]
        after = Beliefs([Knn(1)]).fit(world.X, scores, world.applications)
        moved = np.abs(after.held_.quality - before.held_.quality)
        assert moved[row].max() < 0.04
        assert moved.max() > 2 * moved[row].max()


def test_groups_stay_together() -> None:
    """An outcome that only a phrasing explains can't be foretold without that phrasing."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 20)
    X = np.eye(10)[groups] + 0.01 * rng.normal(size=(200, 10))
    scores = rng.permutation(np.repeat([0.0, 1.0], 5))[groups][:, None]

    def brier(groups: list[str] | None = None) -> float:
        held = Beliefs().fit(X, scores, groups=groups).held_
        return float(np.mean((held.quality - held.scores) ** 2))

    assert brier([str(g) for g in groups]) > 0.2
    assert brier() < 0.05


def test_an_unmarked_application_is_placed_by_its_own_prompt() -> None:
    """Where its queries tell nothing, what its requests have in common does."""
    rng = np.random.default_rng(4)
    kinds = np.array([[0.95, 0.05], [0.05, 0.95]])
    number = np.repeat(np.arange(20), 20)
    true = kinds[number % 2]
    X = rng.normal(size=(400, 12))
    contexts = np.eye(12)[number % 2] + 0.05 * rng.normal(size=(20, 12))[number]
    names = [f"a{i}" for i in number]
    scores = (rng.random(true.shape) < true).astype(np.float64)
    beliefs = Beliefs().fit(X, scores, names, context=dict(zip(names, contexts, strict=True)))
    assert beliefs.features_.reads_context
    query = X[:1]
    found = [beliefs.forecast(query, ["new"], [np.eye(12)[kind]]).quality[0] for kind in (0, 1)]
    assert found[0][0] > found[0][1] + 0.3
    assert found[1][1] > found[1][0] + 0.3


def test_progress_is_told_up_to_all() -> None:
    """Fifths of the marks, then of the applications, then the whole."""
    told: list[float] = []
    Beliefs().fit(WORLD.X, WORLD.scores, WORLD.applications, progress=told.append)
    np.testing.assert_allclose(told, np.arange(1, 12) / 11)
