"""Averages over prompts, tasks and groups, with one bootstrap for all."""

import numpy as np
import pytest

from collegium.evals.core.bootstrap import Bootstrap
from collegium.evals.routing.averages import GROUP, MACRO, Averages, strata

TASKS = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
GROUPS = ["x"] * 90 + ["y"] * 10


def table() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return two contenders' scores on a hundred prompts."""
    return (np.random.default_rng(0).random((100, 2)) < [0.4, 0.7]).astype(np.float64)


def test_each_average_is_what_it_says() -> None:
    """Reckoned again task by task."""
    scores = table()
    found = Averages(scores, TASKS, GROUPS, resamples=100)
    a, b, c = scores[:60].mean(axis=0), scores[60:90].mean(axis=0), scores[90:].mean(axis=0)
    assert found.groups == ["x", "y"]
    for column in (0, 1):
        assert found.mean(column).estimate == pytest.approx(scores[:, column].mean())
        assert found.mean(column, MACRO).estimate == pytest.approx((a + b + c)[column] / 3)
        assert found.mean(column, GROUP + "x").estimate == pytest.approx((a + b)[column] / 2)
        assert found.mean(column, GROUP + "y").estimate == pytest.approx(c[column])
    gap = found.difference(1, 0, GROUP + "x").estimate
    assert gap == pytest.approx((a + b)[1] / 2 - (a + b)[0] / 2)


def test_a_groups_interval_is_that_of_its_own_prompts() -> None:
    """Other groups' prompts add no doubt: a bootstrap of the group alone is as wide."""
    scores = table()
    found = Averages(scores, TASKS, GROUPS, resamples=4000).mean(0, GROUP + "y")
    alone = Bootstrap(scores[90:], resamples=4000).mean(0)
    assert found.high - found.low == pytest.approx(alone.high - alone.low, abs=0.03)


def test_small_tasks_are_drawn_together() -> None:
    """A task of one prompt would be drawn the same every time."""
    assert strata(["a"] * 5 + ["b", "c"]) == ["a"] * 5 + ["", ""]
    scores = np.array([[1.0], [0.0], [1.0], [0.0]])
    found = Averages(scores, ["a", "b", "c", "d"], None, resamples=500).mean(0, MACRO)
    assert found.low < 0.3
    assert found.high > 0.7
