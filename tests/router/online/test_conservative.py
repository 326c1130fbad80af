"""The purse: no window costs more than it promised, whatever the experts do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collegium.router.online.conservative import Purse

STEP = st.tuples(
    st.floats(0, 1),  # the baseline's upper bound
    st.floats(-0.5, 1),  # what the choice promised
    st.floats(0, 1),  # what was seen of it
    st.booleans(),  # whether exploring was wanted
)


def worst_window(losses: list[float], alpha: float) -> float:
    """The largest loss over any window, less alpha a query."""
    sums = np.r_[0.0, np.cumsum(np.array(losses) - alpha)]
    return max(float(sums[j] - sums[i]) for j in range(len(sums)) for i in range(j + 1))


@settings(max_examples=200, deadline=None)
@example([(1.0, 1.0, 0.0, True)] * 3, 0.125, 0.5)  # promises of the best, all of them false
@given(st.lists(STEP, max_size=40), st.floats(0.01, 0.2), st.floats(0.5, 3))
def test_no_window_loses_more_than_promised(
    steps: list[tuple[float, float, float, bool]], alpha: float, most: float
) -> None:
    """Against an adversary who picks every outcome: alpha a query, the purse, and one outcome."""
    purse = Purse(alpha, most)
    losses = []
    for bound, promised, seen, wanted in steps:
        purse.earn()
        price = bound - promised
        if wanted and bool(purse.affordable(np.array([price]))[0]):
            purse.pay(price)
            purse.settle(promised, seen)
            losses.append(bound - seen)
        else:
            losses.append(0.0)
    assert worst_window(losses, alpha) <= most + 1 + 1e-9


def test_it_starts_empty_and_fills_by_alpha() -> None:
    """The first exploration of price 0.1 is affordable at the fifth query."""
    purse = Purse(0.02, 1.0)
    when = []
    for _ in range(6):
        purse.earn()
        when.append(bool(purse.affordable(np.array([0.0999]))[0]))
    assert when == [False, False, False, False, True, True]


def test_what_is_not_riskier_than_the_baseline_is_free() -> None:
    """Also with an empty purse, and it fills it."""
    purse = Purse(0.0, 1.0)
    assert purse.affordable(np.array([0.0, -0.3, 0.1])).tolist() == [True, True, False]
    purse.pay(-0.3)
    assert purse.level == pytest.approx(0.3)


def test_better_outcomes_than_promised_fill_it_up_to_its_size() -> None:
    """It saves no more than it holds, or an old merit would excuse a bad week."""
    purse = Purse(0.1, 0.5)
    for _ in range(10):
        purse.settle(0.2, 0.9)
    assert purse.level == 0.5
