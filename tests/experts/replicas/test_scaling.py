"""How many replicas: growth by a queue that lasts, shrinking by what was not needed."""

from __future__ import annotations

from collegium.experts.replicas.scaling import UP_AFTER_S, Bounds, Scaling

BOUNDS = Bounds(least=1, most=4, idle_s=60.0)


def test_a_queue_that_lasts_makes_it_grow_at_once_to_what_is_needed() -> None:
    """A moment's queue does not."""
    scaling = Scaling(BOUNDS, slots=8)
    assert scaling.wanted(0.0, 0, 1) == 1
    assert scaling.wanted(1.0, 24, 1) == 1
    assert scaling.wanted(1.5, 8, 1) == 1, "it was short"
    for at in (2.0, 3.0):
        assert scaling.wanted(at, 24, 1) == 1
    assert scaling.wanted(2.0 + UP_AFTER_S, 20, 1) == 3


def test_it_grows_to_the_most_and_no_further() -> None:
    """However long the queue."""
    scaling = Scaling(BOUNDS, slots=8)
    for at in (0.0, 1.0, 2.0):
        scaling.wanted(at, 1000, 1)
    assert scaling.wanted(2.5, 1000, 1) == 4


def test_it_shrinks_to_the_most_that_was_needed_lately() -> None:
    """A peak within the time keeps what it needed."""
    scaling = Scaling(BOUNDS, slots=8)
    assert scaling.wanted(0.0, 32, 4) == 4
    assert scaling.wanted(30.0, 10, 4) == 4
    assert scaling.wanted(60.0, 0, 4) == 4
    assert scaling.wanted(90.0, 0, 4) == 2
    assert scaling.wanted(120.0, 0, 2) == 1


def test_the_least_always_stay() -> None:
    """Though nobody asks."""
    scaling = Scaling(Bounds(least=2, most=3, idle_s=1.0), slots=8)
    assert [scaling.wanted(float(at), 0, 2) for at in range(5)] == [2] * 5
