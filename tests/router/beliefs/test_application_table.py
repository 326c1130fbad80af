"""The table of applications, against rates that can be counted and worlds that are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.beliefs.application_table import (
    LEAST_SPREAD,
    NEW,
    VARIANTS,
    ApplicationTable,
    arrays_of,
    table_of,
)

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
NOBODY = np.array([-1])


def asked(count: int, each: int) -> Indices:
    """`each` queries of every application, by number."""
    return np.repeat(np.arange(count), each)


def scores(rates: Array, applications: Indices, seed: int = 0) -> Array:
    """Right and wrong answers at the applications' rates (a, e), shape (n, e)."""
    of = rates[applications]
    return (np.random.default_rng(seed).random(of.shape) < of).astype(np.float64)


def flat(n: int) -> Array:
    """Features that tell nothing."""
    return np.zeros((n, 2))


def test_one_application_with_many_marks_has_its_smoothed_rates() -> None:
    """Its own marks, and as many of the overall rates as each variant pulls, averaged."""
    one = asked(1, 500)
    y = scores(np.array([[0.2, 0.5, 0.9]]), one)
    table = ApplicationTable().fit(y, one, flat(len(one)), 1)
    overall = (y.sum(axis=0) + 0.5) / 501
    each = [(y.sum(axis=0) + pull * overall) / (500 + pull) for _, pull in VARIANTS]
    np.testing.assert_allclose(table.table_[0], np.mean(each, axis=0))
    np.testing.assert_allclose(table.known(np.array([0]), np.zeros((1, 3)))[0], table.table_[0])


def test_marks_that_are_missing_count_for_nothing() -> None:
    """An expert that was never measured anywhere may be anything."""
    one = asked(1, 20)
    y = np.column_stack([np.ones(20), np.full(20, np.nan)])
    table = ApplicationTable().fit(y, one, flat(20), 1)
    assert table.marks_.tolist() == [[20.0, 0.0]]
    assert table.table_[0, 0] > 0.95
    assert table.table_[0, 1] == pytest.approx(0.5)


def test_applications_that_score_alike_share_strength() -> None:
    """Of twenty applications of two kinds, one with four marks is known by its kind."""
    kinds = np.array([[0.95, 0.05, 0.6], [0.05, 0.95, 0.6]])
    rates = kinds[np.arange(21) % 2]
    many = np.concatenate([asked(20, 25), np.full(4, 20)])
    y = scores(rates, many)
    y[-4:] = [[1.0, 0.0, 1.0]] * 4
    table = ApplicationTable().fit(y, many, flat(len(many)), 21)
    own = (4 + 6 * table.rates_[0]) / 10
    assert table.table_[20, 0] > own + 0.05
    assert abs(table.table_[20] - kinds[0]).max() < abs(own - kinds[0][0])


def test_an_application_without_marks_is_placed_by_its_features() -> None:
    """Two kinds that look different: a new one gets the rates of those that it looks like."""
    kinds = np.array([[0.9, 0.1], [0.1, 0.9]])
    many = asked(20, 60)
    noise = np.random.default_rng(1).normal(size=(len(many), 2))
    places = np.array([[2.0, 0.0], [-2.0, 0.0]])[many % 2] + 0.3 * noise
    table = ApplicationTable().fit(scores(kinds[np.arange(20) % 2], many), many, places, 20)
    found = table.unknown(np.array([[2.0, 0.0], [-2.0, 0.0]]))
    # One of six variants has one group only, and so the overall rates.
    np.testing.assert_allclose(found, (5 * kinds + 0.5) / 6, atol=0.07)


def test_without_an_application_the_rates_are_the_overall_ones() -> None:
    """There is nothing to group."""
    nobody = np.full(50, -1)
    y = scores(np.array([[0.3, 0.8]]), np.zeros(50, dtype=np.intp))
    table = ApplicationTable().fit(y, nobody, flat(50), 0)
    np.testing.assert_allclose(table.unknown(flat(2)), np.tile(table.rates_, (2, 1)))
    otherwise = np.array([[0.1, 0.2]])
    np.testing.assert_array_equal(table.known(NOBODY, otherwise), otherwise)


def test_an_application_whose_queries_were_never_marked_is_read_as_a_new_one() -> None:
    """A row without marks takes what is given otherwise."""
    two = asked(2, 10)
    y = np.where(two[:, None] == 0, 1.0, np.nan)
    table = ApplicationTable().fit(y, two, flat(20), 2)
    otherwise = np.full((2, 1), 0.33)
    assert table.known(np.array([0, 1]), otherwise)[1, 0] == 0.33
    assert table.known(np.array([0, 1]), otherwise)[0, 0] > 0.9


def test_a_rate_is_surer_the_more_marks_it_has() -> None:
    """The deviation of a beta posterior; where nobody is known, the spread of applications."""
    many = np.concatenate([asked(1, 400), np.full(4, 1), np.full(40, 2)])
    rates = np.array([[0.2], [0.5], [0.8]])
    table = ApplicationTable().fit(scores(rates, many), many, flat(len(many)), 3)
    found = table.deviation(np.array([0, 1, 2, -1]))[:, 0]
    assert found[0] < found[2] < found[1]
    p, pull = table.table_[0, 0], np.mean([pull for _, pull in VARIANTS])
    assert found[0] == pytest.approx(np.sqrt(p * (1 - p) / (400 + pull + 1)))
    assert found[3] > np.std([0.2, 0.5, 0.8])


def test_of_fewer_than_three_applications_the_spread_is_the_usual_one() -> None:
    """Two numbers tell little of how applications differ."""
    two = asked(2, 30)
    table = ApplicationTable().fit(scores(np.full((2, 2), 0.5), two), two, flat(60), 2)
    np.testing.assert_array_equal(table.spread_, [0.2, 0.2])
    np.testing.assert_allclose(table.deviation(NOBODY), NEW * LEAST_SPREAD)


def test_the_same_marks_make_the_same_table_whatever_their_order() -> None:
    """Sums do not depend on the order of the rows."""
    many = asked(8, 12)
    y = scores(np.random.default_rng(2).random((8, 3)), many)
    order = np.random.default_rng(3).permutation(len(many))
    here = ApplicationTable().fit(y, many, flat(len(many)), 8)
    there = ApplicationTable().fit(y[order], many[order], flat(len(many)), 8)
    np.testing.assert_allclose(here.table_, there.table_)


def test_a_table_survives_its_arrays() -> None:
    """All that is asked of it later."""
    many = asked(8, 12)
    y = scores(np.random.default_rng(4).random((8, 3)), many)
    features = np.random.default_rng(5).normal(size=(len(many), 2))
    table = ApplicationTable().fit(y, many, features, 8)
    read = table_of(arrays_of(table))
    rows = np.array([3, -1])
    np.testing.assert_array_equal(read.unknown(features), table.unknown(features))
    np.testing.assert_array_equal(read.deviation(rows), table.deviation(rows))
    np.testing.assert_array_equal(
        read.known(rows, np.zeros((2, 3))), table.known(rows, np.zeros((2, 3)))
    )


def test_a_missing_array_is_noticed() -> None:
    """KeyError, which the file's reader translates."""
    one = asked(1, 5)
    arrays = arrays_of(ApplicationTable().fit(np.ones((5, 1)), one, flat(5), 1))
    del arrays["group3.centres"]
    with pytest.raises(KeyError):
        table_of(arrays)
