"""What predictors learn: the truth of small worlds, with holes, in order, calibrated."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.router.predictors import PREDICTORS, predictor
from collegium.router.predictors.domain_table import DomainTable
from tests.router.predictors.worlds import RATES, regret, specialists

NAMES = sorted(PREDICTORS)
RANK_ONLY = {"contrastive", "similarity_ranking"}  # their chances are shifted ranks


@pytest.mark.parametrize("name", NAMES)
def test_the_specialist_of_each_domain_is_found(name: str) -> None:
    """Of a loss of 0.43 by random choice next to nothing is left, a third of the cells missing."""
    data, new = specialists(600, seed=0, missing=0.3), specialists(400, seed=1)
    learnt = predictor(name).fit(data.X, data.y, labels=data.labels)
    assert regret(learnt.predict(new.X), new.truth) < 0.03


@pytest.mark.parametrize("name", [n for n in NAMES if n not in RANK_ONLY])
def test_forecasts_are_chances(name: str) -> None:
    """On average they are what made the outcomes, for each expert."""
    data, new = specialists(800, seed=2), specialists(400, seed=3)
    forecast = predictor(name).fit(data.X, data.y, labels=data.labels).predict(new.X)
    assert np.abs(forecast - new.truth).mean() < 0.08
    np.testing.assert_allclose(forecast.mean(axis=0), new.truth.mean(axis=0), atol=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_no_labels_are_needed(name: str) -> None:
    """Domains that nobody named are found all the same."""
    data, new = specialists(600, seed=4), specialists(300, seed=5)
    assert regret(predictor(name).fit(data.X, data.y).predict(new.X), new.truth) < 0.05


@pytest.mark.parametrize(("queries", "domains"), [(90, 9), (600, 16), (2_400, 30), (5_000, 48)])
def test_many_queries_without_labels_have_more_domains(queries: int, domains: int) -> None:
    """Of which an expert's rates are measured."""
    rng = np.random.default_rng(0)
    X, scores = rng.normal(size=(queries, 4)), rng.random((queries, 2))
    assert DomainTable().fit(X, scores).domains(X[:1]).shape == (1, domains)


@pytest.mark.parametrize("name", NAMES)
def test_an_unmeasured_expert_is_no_error(name: str) -> None:
    """A column without one outcome gets finite forecasts, and the others are still learnt."""
    data, new = specialists(400, seed=6), specialists(200, seed=7)
    y = data.y.copy()
    y[:, 3] = np.nan
    forecast = predictor(name).fit(data.X, y, labels=data.labels).predict(new.X)
    assert np.isfinite(forecast).all()
    assert regret(forecast[:, :3], new.truth[:, :3]) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_few_outcomes_claim_little(name: str) -> None:
    """Two queries are no reason to be sure of anything."""
    data = specialists(2, seed=8)
    forecast = predictor(name).fit(data.X, data.y).predict(specialists(50, seed=9).X)
    assert np.isfinite(forecast).all()
    assert ((forecast >= 0) & (forecast <= 1)).all()


def test_the_world_is_as_its_table_says() -> None:
    """The reference that the tests above compare with."""
    data = specialists(30_000, seed=10)
    for k, domain in enumerate(("law", "maths", "poems")):
        rate = data.y[data.labels == domain].mean(axis=0)
        np.testing.assert_allclose(rate, RATES[k], atol=0.02)
