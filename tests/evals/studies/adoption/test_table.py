"""Tables by task or application, savings along a curve, and the reference values."""

from dataclasses import replace

import numpy as np
import pytest

from collegium.evals.studies.adoption.reference import Reference
from collegium.evals.studies.adoption.table import (
    PRICES,
    Savings,
    by_table,
    curve_by_price,
    numbered,
    shrunk,
    true_task_table,
)
from collegium.evals.studies.adoption.worlds import World, world
from tests.evals.studies.adoption.sets import sets


@pytest.fixture(scope="module")
def tiny() -> World:
    """Four prompts of two tasks teach, two judge; two experts."""
    made = world(sets())
    return replace(
        made,
        prompts=tuple("abcdef"),
        tasks=("x", "x", "x", "y", "x", "y"),
        applications=("p", None, None, "p", "p", None),
        experts=made.experts[:2],
        scores=np.array([[1.0, 0], [1, 0], [1, 1], [0, 1], [1, 0], [0, 1]]),
        input_tokens=np.full(6, 100.0),
        output_tokens=np.array([[10.0, 20], [20, 20], [30, 20], [100, 60], [20, 20], [90, 50]]),
        train=np.arange(4),
        judges=np.array([4, 5]),
    )


def test_rates_are_shrunk_by_six_pseudo_counts() -> None:
    """A line without marks is the overall mean."""
    values = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    found = shrunk(values, np.array([0, 0, 0, 1]), 3)
    np.testing.assert_allclose(found[0], [(2 + 3) / 9, (1 + 3) / 9])
    np.testing.assert_allclose(found[1], [3 / 7, 4 / 7])
    np.testing.assert_allclose(found[2], [0.5, 0.5])


def test_the_true_task_table_is_the_one_by_hand(tiny: World) -> None:
    """Means of rates (.75, .5) and tokens (40, 30); three marks of x, one of y."""
    quality, cost = true_task_table(tiny)
    np.testing.assert_allclose(
        quality, [[(3 + 4.5) / 9, (1 + 3) / 9], [(0 + 4.5) / 7, (1 + 3) / 7]]
    )
    tokens = np.array([[(60 + 240) / 9, (60 + 180) / 9], [(100 + 240) / 7, (60 + 180) / 7]])
    np.testing.assert_allclose(cost, (100 * np.array([10, 3]) + tokens * [30, 15]) / 1e6)


def test_a_table_learns_from_the_marks_that_it_is_given(tiny: World) -> None:
    """Not from the truth; prompts without an application share a line."""
    lines = numbered(tiny.applications)
    assert lines.tolist() == [1, 0, 0, 1, 1, 0]
    quality, _ = by_table(tiny, tiny.train, 1 - tiny.scores[tiny.train], lines)
    usual = np.array([0.25, 0.5])
    np.testing.assert_allclose(quality[0], (np.array([1, 1]) + 6 * usual) / 8)
    np.testing.assert_allclose(quality[1], (np.array([0, 1]) + 6 * usual) / 8)


def test_a_dollar_has_a_price_along_the_curve() -> None:
    """At price 0 the best is chosen, at the highest the cheapest, and between them who pays."""
    quality, cost = np.array([[0.9, 0.5]]), np.array([[0.004, 0.001]])
    accuracy, usd = curve_by_price(quality, cost, np.array([[1.0, 0.0]]), cost)
    dear = PRICES < 0.4 / 0.003
    np.testing.assert_array_equal(accuracy, dear.astype(float))
    np.testing.assert_array_equal(usd, np.where(dear, 0.004, 0.001))


def test_savings_are_the_most_above_the_floor() -> None:
    """Nothing is saved where no point is accurate enough, or where all are dearer."""
    accuracy, usd = np.array([0.71, 0.70, 0.695, 0.66]), np.array([8.0, 5.0, 2.0, 1.0])
    assert Savings.on(accuracy, usd, 0.69, 10.0) == Savings(0.8, 0.695, 2.0)
    assert Savings.on(accuracy, usd, 0.70, 10.0) == Savings(0.5, 0.70, 5.0)
    assert Savings.on(accuracy, usd, 0.72, 10.0) == Savings(0.0, 0.71, 8.0)
    assert Savings.on(accuracy, usd, 0.71, 5.0) == Savings(0.0, 0.71, 8.0)


def test_reference_values_are_those_of_the_judging_prompts(tiny: World) -> None:
    """Best single, random and oracle; of equally good experts the oracle takes the cheapest."""
    scores = np.array([[1.0, 0], [1, 0], [1, 1], [0, 1], [1, 1], [1, 0]])
    found = Reference.of(replace(tiny, scores=scores))
    usd = (100 * np.array([10, 3]) + tiny.output_tokens[[4, 5]] * [30, 15]) / 1e6
    assert found.name == "flagship"
    assert found.single == pytest.approx((1.0, usd[:, 0].mean()))
    assert found.random == pytest.approx((0.75, usd.mean()))
    assert found.oracle == pytest.approx((1.0, (usd[0, 1] + usd[1, 0]) / 2))
    assert found.floor == pytest.approx(0.99)
    assert found.as_json()["best_single"] == {
        "name": "flagship",
        "accuracy": 1.0,
        "usd_per_1k": pytest.approx(1000 * usd[:, 0].mean()),
    }
