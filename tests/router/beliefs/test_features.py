"""What tells applications apart: principal components of queries and of contexts."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.router.beliefs.features import OF_CONTEXT, OF_QUERIES, Features


def test_they_are_the_first_principal_components() -> None:
    """As the singular value decomposition has them, but for their signs."""
    X = np.random.default_rng(0).normal(size=(200, 40)) * np.linspace(3, 0.1, 40)
    features = Features().fit(X, [None] * 200)
    _, _, axes = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    expected = (X - X.mean(axis=0)) @ axes[:OF_QUERIES].T
    found = features.of(X, [None] * 200)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-8)
    assert not features.reads_context


def test_a_context_is_told_beside_the_query() -> None:
    """Other applications have other columns; without a context they are zero, the usual ones."""
    rng = np.random.default_rng(1)
    X, contexts = rng.normal(size=(60, 30)), rng.normal(size=(4, 30))
    given = [contexts[i % 4] for i in range(60)]
    features = Features().fit(X, given)
    assert features.reads_context
    found = features.of(X, given)
    assert found.shape == (60, OF_QUERIES + OF_CONTEXT)
    np.testing.assert_allclose(found[0, OF_QUERIES:], found[4, OF_QUERIES:])
    assert np.abs(found[0, OF_QUERIES:] - found[1, OF_QUERIES:]).max() > 0.1
    without = features.of(X, [None] * 60)
    np.testing.assert_array_equal(without[:, OF_QUERIES:], 0.0)
    np.testing.assert_array_equal(without[:, :OF_QUERIES], found[:, :OF_QUERIES])
    mixed = features.of(X[:2], [None, given[1]])
    np.testing.assert_allclose(mixed, np.vstack([without[0], found[1]]))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_queries_have_few_components(count: int) -> None:
    """No more than there are queries."""
    X = np.random.default_rng(2).normal(size=(count, 30))
    found = Features().fit(X, [None] * count).of(X, [None] * count)
    assert found.shape == (count, count)
    assert np.isfinite(found).all()
