"""Confidence sequences: they hold at all times together, and narrow."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.router.learning.sequences import Sums, half_width, surely_above


def test_the_mean_is_within_the_interval_at_all_times() -> None:
    """In 95 % of the runs at least, looked at after every value from the 30th on."""
    random, missed = np.random.default_rng(0), 0
    for _ in range(200):
        values = (random.random(1500) < 0.3).astype(float)
        totals = values.cumsum()
        missed += any(
            abs(totals[n - 1] / n - 0.3) > half_width(Sums.of_rate(int(totals[n - 1]), n), 0.05)
            for n in range(30, 1500, 3)
        )
    assert missed <= 10


def test_a_higher_rate_is_found_and_the_same_is_not() -> None:
    """30 % of errors instead of 2 %, in 200 requests of either."""
    assert surely_above(Sums.of_rate(60, 200), Sums.of_rate(4, 200), 0.0125) > 0.02
    assert surely_above(Sums.of_rate(5, 200), Sums.of_rate(4, 200), 0.0125) < 0


@pytest.mark.parametrize("count", [0, 1, 29])
def test_few_values_say_nothing(count: int) -> None:
    """Whatever they are."""
    assert surely_above(Sums.of_rate(count, count), Sums.of_rate(0, 1000), 0.05) == -np.inf


def test_a_rate_of_zero_is_not_known_to_be_zero() -> None:
    """The interval has some width, and less with more values."""
    widths = [half_width(Sums.of_rate(0, n), 0.05) for n in (50, 500, 5000)]
    assert 0.2 > widths[0] > widths[1] > widths[2] > 0
