"""Calibration: nought for honest forecasts, and the textbook's numbers for others."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.evals.core.calibration import calibration, equal_mass


def test_honest_forecasts_have_almost_no_error() -> None:
    """Outcomes drawn with the forecast probabilities: ECE is sampling noise, Brier is p(1-p)."""
    random = np.random.default_rng(0)
    forecasts = random.random((20_000, 2))
    found = calibration(forecasts, (random.random((20_000, 2)) < forecasts).astype(np.float64))
    assert found is not None
    assert found.ece < 0.01
    assert found.brier == pytest.approx(1 / 6, abs=0.005)
    assert [each.count for each in found.bins] == [4_000] * 10
    assert found.count == 40_000


def test_overconfidence_is_measured() -> None:
    """Forecasts of 0.9 that come true every other time are wrong by 0.4."""
    found = calibration(np.full(1000, 0.9), np.tile([0.0, 1.0], 500))
    assert found is not None
    assert found.ece == pytest.approx(0.4)
    assert found.brier == pytest.approx(0.5 * 0.81 + 0.5 * 0.01)
    assert len(found.bins) == 1


def test_ties_stay_in_one_bin() -> None:
    """Two honest levels make two bins, in whatever order the outcomes come."""
    forecasts = np.repeat([0.2, 0.8], [30, 70])
    scores = np.concatenate([np.repeat([1.0, 0.0], [6, 24]), np.repeat([1.0, 0.0], [56, 14])])
    found = calibration(forecasts, scores)
    assert found is not None
    assert found.ece == pytest.approx(0)
    assert [each.count for each in found.bins] == [30, 70]
    assert [each.observed for each in found.bins] == pytest.approx([0.2, 0.8])


def test_cells_that_are_unknown_are_left_out() -> None:
    """No forecast, or no score: no evidence; none at all: no calibration."""
    forecasts, scores = np.array([0.5, np.nan, 0.5]), np.array([1.0, 1.0, np.nan])
    found = calibration(forecasts, scores)
    assert found is not None
    assert (found.count, found.ece) == (1, 0.5)
    assert calibration(forecasts[1:2], scores[1:2]) is None


def test_it_refuses_what_is_no_probability() -> None:
    """Scores of another shape and forecasts beyond 1 are mistakes."""
    with pytest.raises(ValueError, match="differ in shape"):
        calibration(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="probabilities"):
        calibration(np.array([1.2]), np.ones(1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=1, max_size=60))
def test_groups_keep_every_value_once_and_are_ordered(values: list[float]) -> None:
    """Whatever the ties: a partition, at most ten groups, no value in two of them."""
    array = np.array(values)
    groups = equal_mass(array, 10)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(values)))
    assert len(groups) <= 10
    for lower, upper in pairwise(groups):
        assert array[lower].max() < array[upper].min()
