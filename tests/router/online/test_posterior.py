"""The discounted posterior, against the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.online.features import fit_projection
from collegium.router.online.posterior import REFRESH, Residuals

Array = NDArray[np.float64]


def residuals(*, discount: float = 1.0) -> Residuals:
    return Residuals(2, 3, discount=discount, noise=0.5, offset_sd=0.2, slope_sd=0.1)


def test_without_evidence_the_forecast_stands() -> None:
    """The mean is zero, and the variance is the prior's."""
    found = residuals()
    z = np.array([1.0, 2.0, 0.0])
    assert found.mean(z).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(found.variance(z), 0.04 + 4 * 0.01)


def test_it_is_the_weighted_ridge_of_all_that_was_seen() -> None:
    """With a discount, an observation that is t updates old weighs discount^t."""
    rng = np.random.default_rng(0)
    found, count = residuals(discount=0.95), 2 * REFRESH
    Z, y, who = rng.normal(size=(count, 3)), rng.normal(size=count), rng.integers(2, size=count)
    for z, value, expert in zip(Z, y, who, strict=True):
        found.update(int(expert), z, float(value))
    ages = 0.95 ** np.arange(count - 1, -1, -1)
    prior = np.diag([0.2**-2, 0.1**-2, 0.1**-2])
    for expert in range(2):
        weights = ages * (who == expert) / 0.25
        covariance = np.linalg.inv(prior + (Z.T * weights) @ Z)
        np.testing.assert_allclose(found.covariance[expert], covariance)
        np.testing.assert_allclose(found.coefficients[expert], covariance @ (Z.T @ (weights * y)))


def test_what_is_not_asked_for_a_while_becomes_uncertain_again() -> None:
    """So that an expert which was bad is tried again."""
    found = residuals(discount=0.9)
    z = np.array([1.0, 0.0, 0.0])
    for _ in range(20):
        found.update(0, z, -0.5)
    sure, low = float(found.variance(z)[0]), float(found.mean(z)[0])
    for _ in range(4 * REFRESH):
        found.update(1, z, 0.0)
    assert found.variance(z)[0] > 2 * sure
    assert found.mean(z)[0] > 0.2 * low


def test_an_update_of_weight_zero_only_lets_time_pass() -> None:
    """A source beyond its cap moves nothing."""
    found = residuals()
    found.update(0, np.ones(3), 1.0, weight=0.0)
    assert found.mean(np.ones(3)).tolist() == [0.0, 0.0]


def test_features_are_white() -> None:
    """A constant, then components of mean 0 and variance 1 that do not go together."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 12)) * np.linspace(3, 0.1, 12)
    projection = fit_projection(X, dimensions=5)
    Z = np.array([projection(x) for x in X])
    np.testing.assert_allclose(Z[:, 0], 1.0)
    np.testing.assert_allclose(Z[:, 1:].mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(Z[:, 1:].T @ Z[:, 1:] / 500, np.eye(5), atol=1e-9)


def test_there_are_no_more_features_than_the_queries_span() -> None:
    """Directions in which all queries agree would be divided by zero."""
    X = np.outer(np.arange(6.0), np.array([1.0, 2.0, 0.0]))
    projection = fit_projection(X, dimensions=3)
    assert projection.components.shape == (3, 1)
    assert np.isfinite(projection(X[0])).all()
    assert fit_projection(np.ones((4, 3))).components.shape[1] == pytest.approx(0)
