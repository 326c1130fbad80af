"""The drift test on simulated traffic: found soon, and no alarm where nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.learning.drift import DriftWatch, Loss, Marked, Recovery

Array = NDArray[np.float64]
EXPERTS = 8


def traffic(
    seed: int,
    count: int,
    *,
    level: float | None = None,
    lost: Callable[[Array], Array] | None = None,
) -> Iterator[Marked]:
    """Marked answers of eight experts, whose forecasts are off by up to 5 points and 10 % too sure
    or too unsure; what the first expert answers right is `lost`.
    """
    random = np.random.default_rng(seed)
    levels = random.uniform(0.5, 0.9, EXPERTS)
    levels[0] = levels[0] if level is None else level
    bias, slope = random.uniform(-0.05, 0.05, EXPERTS), random.uniform(0.9, 1.1, EXPERTS)
    expert = random.integers(EXPERTS, size=count)
    spread = 0.2 * random.standard_normal(count)
    right = np.clip(levels[expert] + spread, 0.02, 0.98)
    forecast = np.clip(levels[expert] + slope[expert] * spread + bias[expert], 0.01, 0.99)
    if lost is not None:
        right = np.where(expert == 0, lost(right), right)
    score = (random.random(count) < right).astype(float)
    for name, mark, said in zip(expert.tolist(), score.tolist(), forecast.tolist(), strict=True):
        yield Marked(f"expert {name}", mark, said)


def marks_until_alarm(seed: int, level: float, lost: Callable[[Array], Array]) -> int:
    """Marks of the first expert from when it got worse until that is told; 9999 if it never is.

    It has about 625 marks before.
    """
    watch = DriftWatch()
    before = [mark for mark in traffic(seed, 5000, level=level) if mark.expert == "expert 0"]
    after = traffic(seed, 4000, level=level, lost=lost)
    for mark in before:
        watch.see(mark)
    worse = (mark for mark in after if mark.expert == "expert 0")
    return next((n for n, mark in enumerate(worse, 1) if watch.see(mark) is not None), 9999)


def test_stationary_traffic_raises_no_alarm() -> None:
    """In four runs of 10,000 requests each, with miscalibrated forecasts."""
    watches = [(DriftWatch(), traffic(seed, 10_000)) for seed in range(4)]
    found = [f for watch, marks in watches for mark in marks if (f := watch.see(mark))]
    assert found == []


@pytest.mark.parametrize("level", [0.7, 0.8, 0.9])
def test_a_loss_of_most_right_answers_is_found_within_thirty_marks(level: float) -> None:
    """70 % of them: in most runs, and in nearly all within fifty."""
    took = sorted(marks_until_alarm(seed, level, lambda right: 0.3 * right) for seed in range(12))
    assert took[6] <= 30
    assert took[10] <= 50


def test_a_loss_of_fifteen_points_is_found_within_three_hundred_marks() -> None:
    """In nine of ten runs, at whatever level."""
    levels = np.linspace(0.6, 0.9, 40)
    took = [
        marks_until_alarm(seed, level, lambda right: np.clip(right - 0.15, 0, 1))
        for seed, level in enumerate(levels)
    ]
    assert np.mean(np.array(took) <= 300) >= 0.9


def steady(
    watch: DriftWatch, count: int, score: Callable[[int], float], **fields: str
) -> list[Loss | Recovery]:
    """What marks of one expert that are forecast at 0.8 show."""
    found = []
    for number in range(count):
        said = watch.see(Marked("a", score(number), 0.8, **fields))
        if said is not None:
            found.append(said)
    return found


def mostly(number: int) -> float:
    """Right four times of five."""
    return float(number % 5 != 0)


def mostly_at(number: int, _: int) -> float:
    """The same for a mark that is asked for alone."""
    return mostly(number)


def rarely(number: int) -> float:
    """Right once in four times."""
    return float(number % 4 == 0)


def test_an_alarm_tells_how_much_was_lost_and_where() -> None:
    """By application; about since when."""
    watch = DriftWatch()
    steady(watch, 500, mostly, application="desk")
    (loss,) = steady(watch, 40, rarely, application="desk")
    assert isinstance(loss, Loss)
    assert loss.points == pytest.approx(0.55, abs=0.2)
    assert set(loss.applications) == {"desk"}
    assert loss.marks <= 30
    assert watch.open() == {"a"}


def test_an_expert_that_recovers_ends_its_alarm() -> None:
    """And one that does not, does not."""
    watch = DriftWatch()
    steady(watch, 500, mostly)
    assert [type(f) for f in steady(watch, 300, rarely)] == [Loss]
    assert [type(f) for f in steady(watch, 100, mostly)] == [Recovery]
    assert watch.open() == frozenset()
    assert [type(f) for f in steady(watch, 40, rarely)] == [Loss]


def test_an_alarm_that_was_open_before_a_restart_of_the_service_goes_on() -> None:
    """Only recovery is told."""
    watch = DriftWatch()
    steady(watch, 500, mostly)
    watch.alarmed("a", 0.5)
    assert steady(watch, 100, rarely) == []
    assert [type(f) for f in steady(watch, 100, mostly)] == [Recovery]


def test_a_constant_bias_is_no_loss() -> None:
    """People may rate all answers lower than a program does."""
    watch = DriftWatch()
    found = steady(watch, 2000, lambda n: float(n % 2 == 0), stream="ratings")
    assert found == []


def test_one_rater_alone_lowers_nobody() -> None:
    """Where others see no loss: the alarm tells whose marks they are."""
    watch = DriftWatch()
    steady(watch, 500, mostly, rater="anna")
    found = []
    for number in range(60):
        found += steady(watch, 1, lambda _: 0.0, rater="bob")
        found += steady(watch, 1, partial(mostly_at, number), rater="anna")
    (loss, *_) = found
    assert isinstance(loss, Loss)
    assert loss.disputed_by == "bob"
    assert watch.open() == frozenset()


def test_marks_that_fall_for_all_experts_alike_are_not_the_experts_loss() -> None:
    """On the same prompts: the program that marks has changed, and that is told instead."""
    watch, random = DriftWatch(), np.random.default_rng(0)
    names = ("a", "b", "c")
    found: list[Loss] = []
    for number in range(800):
        right = 0.8 if number < 400 else 0.3
        for name in names:
            score = float(random.random() < right)
            said = watch.see(Marked(name, score, 0.8, "replay", prompt=f"p{number}"))
            if isinstance(said, Loss):
                found.append(said)
    assert found
    assert all(loss.common for loss in found)
    assert watch.open() == frozenset()
