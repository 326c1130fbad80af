"""How much the marks count for a query: by its distance to the nearest of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.beliefs.evidence import (
    LEAST_DISTANCE,
    MOST_KEPT,
    NEIGHBOURS,
    Evidence,
)

Array = NDArray[np.float64]


def traffic(count: int, seed: int, dimensions: int = 384) -> Array:
    """Queries of ten tasks in as many dimensions as the bundled encoder has."""
    tasks = np.random.default_rng(99).normal(size=(10, dimensions))
    rng = np.random.default_rng(seed)
    return tasks[rng.integers(0, 10, count)] + rng.normal(size=(count, dimensions))


def nearest(X: Array, marked: Array, *, itself: bool = False) -> NDArray[np.intp]:
    """Which marked queries are the most like each of some, by brute force; not `itself`."""
    order = np.argsort(-cosines(X, marked), axis=1)
    return order[:, itself : NEIGHBOURS + itself]


def own_distance(marked: Array) -> Array:
    """One less the mean cosine of each to its nearest others."""
    cosine = np.take_along_axis(cosines(marked, marked), nearest(marked, marked, itself=True), 1)
    return np.asarray(np.maximum(1 - cosine.mean(axis=1), LEAST_DISTANCE))


def cosines(X: Array, marked: Array) -> Array:
    """Shape (n, marked)."""
    return np.asarray(
        (X / np.linalg.norm(X, axis=1)[:, None])
        @ (marked / np.linalg.norm(marked, axis=1)[:, None]).T
    )


@pytest.mark.parametrize("marks", [50, 150, 800, 2_700])
def test_new_queries_of_the_same_traffic_count_nearly_in_full(marks: int) -> None:
    """However few the marks are: the earlier gate refused most of them after 150."""
    weights = Evidence().fit(traffic(marks, 0)).weights(traffic(500, 1))
    assert weights.mean() > 0.9
    assert (weights < 0.5).mean() < 0.05


def test_what_is_far_from_all_marks_counts_nothing() -> None:
    """Queries that point elsewhere."""
    evidence = Evidence().fit(traffic(300, 0))
    elsewhere = np.random.default_rng(3).normal(size=(50, 384))
    np.testing.assert_array_equal(evidence.weights(elsewhere), 0.0)
    assert evidence.weights(-traffic(20, 1)).max() == 0.0


def test_the_distance_is_one_less_the_mean_cosine_to_the_nearest() -> None:
    """Against the formula, written out."""
    X = traffic(40, 0, dimensions=6)
    query = traffic(1, 5, dimensions=6)
    cosine = (X @ query[0]) / np.linalg.norm(X, axis=1) / np.linalg.norm(query)
    expected = 1 - np.sort(cosine)[-NEIGHBOURS:].mean()
    assert Evidence().fit(X).distance(query)[0] == pytest.approx(expected, abs=1e-6)


def test_the_weight_falls_in_a_line_between_usual_and_far() -> None:
    """By the distance as it is, and by that in units of the nearest marks' own, written out."""
    marked, X = traffic(200, 0, dimensions=20), traffic(400, 1, dimensions=20)
    evidence = Evidence().fit(marked)
    distance = evidence.distance(X)
    relative = distance / own_distance(marked)[nearest(X, marked)].mean(axis=1)
    expected = np.ones(len(X))
    for values, (usual, far) in zip((distance, relative), evidence.scale_, strict=True):
        assert 0 < usual < far
        expected *= np.interp(values, [usual, far], [1.0, 0.0])
    np.testing.assert_allclose(evidence.weights(X), expected, atol=1e-5)
    assert 0 < (expected < 1).mean() < 0.3


def test_where_marks_lie_apart_the_same_distance_counts_for_more() -> None:
    """What is far for a dense place is usual for a sparse one."""
    rng = np.random.default_rng(0)
    dense = np.eye(8)[0] + 0.05 * rng.normal(size=(100, 8))
    sparse = np.eye(8)[1] + 0.2 * rng.normal(size=(100, 8))
    evidence = Evidence().fit(np.vstack([dense, sparse]))
    strange = np.eye(8)[0] + 0.16 * rng.normal(size=(50, 8))
    usual = np.eye(8)[1] + 0.2 * rng.normal(size=(50, 8))
    assert evidence.distance(strange).mean() < evidence.distance(usual).mean()
    assert evidence.weights(strange).mean() < 0.6 < 0.8 < evidence.weights(usual).mean()


def test_among_prompts_of_a_template_small_differences_tell_nothing() -> None:
    """They are nearly one point: what is hardly further off is of the same traffic."""
    rng = np.random.default_rng(0)
    evidence = Evidence().fit(np.eye(8)[0] + 0.01 * rng.normal(size=(100, 8)))
    near = np.eye(8)[0] + 0.03 * rng.normal(size=(50, 8))
    assert evidence.distance(near).max() < LEAST_DISTANCE
    assert evidence.weights(near).mean() > 0.8
    np.testing.assert_array_equal(evidence.weights(np.eye(8)[1:]), 0.0)


@pytest.mark.parametrize("marks", [1, 2, 3])
def test_hardly_any_marks_are_no_error(marks: int) -> None:
    """A marked query itself counts in full."""
    X = traffic(marks, 0, dimensions=8)
    weights = Evidence().fit(X).weights(X)
    assert np.isfinite(weights).all()
    np.testing.assert_array_equal(weights, 1.0)


def test_a_vector_of_zeros_is_no_error() -> None:
    """An empty text may have one."""
    evidence = Evidence().fit(np.vstack([traffic(20, 0), np.zeros((1, 384))]))
    assert np.isfinite(evidence.weights(np.zeros((1, 384)))).all()


def test_of_many_marks_some_stand_for_all() -> None:
    """So a query's price stays the same."""
    evidence = Evidence().fit(traffic(MOST_KEPT + 500, 0, dimensions=8))
    assert len(evidence.marked_) == MOST_KEPT


def test_it_is_the_same_whoever_else_is_read() -> None:
    """Products in single precision are not: what is evaluated would not be what is served."""
    evidence = Evidence().fit(traffic(300, 0, dimensions=60))
    asked = traffic(64, 1, dimensions=60)
    alone = np.concatenate([evidence.weights(row[None, :]) for row in asked])
    np.testing.assert_allclose(alone, evidence.weights(asked), rtol=0, atol=1e-12)
