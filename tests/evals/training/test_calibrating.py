"""Calibrating on recorded outcomes: on a synthetic pool, promises are kept on held-out rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.training.calibrating import (
    FEWEST,
    Forecasts,
    Parts,
    Traffic,
    calibrated_card,
    calibrated_on,
    held_floor,
    hits,
    samples,
)
from collegium.evals.training.conformal import expected_by_neighbours
from collegium.router.beliefs.beliefs import Beliefs
from collegium.router.policy import Tolerances
from collegium.router.predictors.base import sigmoid
from collegium.router.predictors.linear import Linear

Array = NDArray[np.float64]
PRICES = np.array([1.0, 3.0, 10.0])


def traffic(count: int = 6000, *, seed: int = 0) -> Traffic:
    """Three experts; the dearer, the better, and each better somewhere."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 6))
    chances = sigmoid(X[:, :3] * 1.2 + np.array([-0.5, 0.2, 1.0]) - X[:, 3:4])
    scores = (rng.random(chances.shape) < chances).astype(np.float64)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    spent = PRICES * rng.lognormal(0, 0.3, scores.shape)
    return Traffic(X, scores, spent, rng.random(count) < 0.25)


def quick(X: Array, y: Array) -> Forecasts:
    """Linear forecasts, in the place of beliefs, which take seconds on thousands of queries."""
    return Linear().fit(X, y).forecast


def test_targets_are_hit_on_held_out_queries_but_for_chance() -> None:
    """Every usual target within three standard errors, and the shares within 4 points."""
    learn, judge = samples(traffic(), quick)
    found = hits(calibrated_on(learn), judge, calibration_queries=len(learn.quality))
    assert {hit.measure for hit in found} == {"share", "quality"}
    for hit in found:
        assert abs(hit.held_out - hit.target) < 3 * hit.chance
        assert hit.chance < 0.03
    assert all(abs(h.held_out - h.target) < 0.04 for h in found if h.measure == "share")


def test_nobody_judges_what_it_has_seen() -> None:
    """The three parts are apart, and together they are everything."""
    recorded = traffic(400)
    parts = Parts.of(recorded)
    rows = np.concatenate([parts.fitted_on, parts.calibrated_on, parts.judged_on])
    assert sorted(rows.tolist()) == list(range(400))
    assert recorded.held_out[parts.judged_on].all()


def test_forecasts_are_those_that_are_served() -> None:
    """Without a router's own, they are fitted as `router train` fits them."""
    recorded = traffic(400)
    learn, _ = samples(recorded)
    parts = Parts.of(recorded)
    rows = parts.fitted_on
    beliefs = Beliefs().fit(recorded.X[rows], recorded.scores[rows])
    expected = beliefs.forecast(recorded.X[parts.calibrated_on]).quality
    assert learn.quality == pytest.approx(expected)


def test_neighbours_estimate_expected_quality() -> None:
    """Two far groups with known rates, missing cells and all; a query's own answer has no say."""
    rng = np.random.default_rng(0)
    X = np.repeat([[1.0, 0.0], [0.0, 1.0]], 500, axis=0) + 0.01 * rng.normal(size=(1000, 2))
    rates = np.repeat([[0.9, 0.2], [0.4, 0.7]], 500, axis=0)
    scores = (rng.random((1000, 2)) < rates).astype(np.float64)
    scores[::7, 0] = np.nan
    estimate = expected_by_neighbours(X, scores, neighbours=200)
    assert np.abs(estimate - rates).mean() < 0.03

    changed = scores.copy()
    changed[3] = 1 - changed[3]
    assert expected_by_neighbours(X, changed, neighbours=200)[3] == pytest.approx(estimate[3])


def test_a_certified_floor_holds_on_held_out_queries() -> None:
    """At least 90 % but for the chance of a finite sample, and it saves money."""
    held = held_floor(traffic(12_000), guarantee=0.9, within=0.1, fit=quick)
    assert held.floor.certified
    assert held.held_out > 0.9 - 3 * np.sqrt(0.09 / 3000)
    assert held.cost < held.cost_of_best


def test_forecasts_of_noise_certify_nothing() -> None:
    """Scores that no embedding explains: the promise is refused."""
    recorded = traffic(3000)
    blind = replace(recorded, X=np.random.default_rng(1).normal(size=recorded.X.shape))
    mixed = np.where(np.arange(3000)[:, None] % 2, recorded.X, -recorded.X)
    split = replace(blind, scores=np.where(mixed[:, :1] > 0, [[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]))
    assert not held_floor(split, guarantee=0.95, within=0.0, fit=quick).floor.certified


def test_the_card_is_what_the_router_reads() -> None:
    """Written here, read there."""
    learn, _ = samples(traffic(), quick)
    floor = held_floor(traffic(12_000), guarantee=0.9, within=0.1, fit=quick).floor
    tolerances = Tolerances.of(calibrated_card(calibrated_on(learn), floor))
    assert tolerances.at(0) == 0
    assert tolerances.most == floor.tolerance


def test_too_few_queries_are_refused() -> None:
    """It says how many are needed."""
    with pytest.raises(SetupError, match=f"at least {FEWEST} queries"):
        samples(traffic(100))
