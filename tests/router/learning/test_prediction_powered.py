"""Intervals of experts' quality, in worlds whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from collegium.router.learning.prediction_powered import FEWEST, Marked, measured

WORLDS = 200
TRUTH = {"dear": 0.85, "mid": 0.7, "cheap": 0.5}
FAVOUR = {"dear": 0.02, "mid": -0.15, "cheap": 0.3}
"""What the judge's bias adds to the chance that it marks a wrong answer as right, or takes away."""


def world(
    random: np.random.Generator, *, judged: int = 400, confirmed: int = 20, hits: float = 0.85
) -> list[Marked]:
    """Answers of three experts, marked by a judge that is right so often, and favours one."""
    marks = []
    for name, quality in TRUTH.items():
        true = random.random(judged) < quality
        chance = np.where(true, hits, 1 - hits) + FAVOUR[name]
        said = random.random(judged) < chance
        marks += [
            Marked(name, float(s), float(t) if row < confirmed else None)
            for row, (s, t) in enumerate(zip(said, true, strict=True))
        ]
    return marks


def worlds(**options: float) -> Iterator[list[Marked]]:
    random = np.random.default_rng(0)
    for _ in range(WORLDS):
        yield world(random, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("confirmed", [10, 20, 60])
@pytest.mark.parametrize("hits", [0.55, 0.85, 0.97])
def test_the_interval_holds_the_truth(confirmed: int, hits: float) -> None:
    """In 95 of 100 worlds, however good the judge is; of each expert in 91 or more of these."""
    held = {name: 0 for name in TRUTH}
    for marks in worlds(confirmed=confirmed, hits=hits):
        for name, found in measured(marks).items():
            held[name] += found.low <= TRUTH[name] <= found.high
    assert min(held.values()) >= 0.91 * WORLDS
    assert sum(held.values()) >= 0.94 * len(TRUTH) * WORLDS


def test_a_biased_judge_is_corrected() -> None:
    """It places the cheap expert before the middle one; the confirmed marks turn that round."""
    found = [measured(marks) for marks in worlds(confirmed=60)]
    told = {name: np.mean([each[name].judged_quality for each in found]) for name in TRUTH}
    means = {name: np.mean([each[name].quality for each in found]) for name in TRUTH}
    assert told["cheap"] > told["mid"]
    assert means["cheap"] < means["mid"]
    for name, truth in TRUTH.items():
        assert means[name] == pytest.approx(truth, abs=0.015)
        assert abs(told[name] - truth) > 0.05


def test_a_good_judge_narrows_the_interval_and_a_useless_one_does_not_widen_it() -> None:
    """Against the confirmed marks alone."""

    def width(*, hits: float, judged: int) -> float:
        found = [measured(marks) for marks in worlds(confirmed=40, hits=hits, judged=judged)]
        return float(np.mean([e.high - e.low for each in found for e in each.values()]))

    alone = width(hits=0.9, judged=40)
    assert width(hits=0.97, judged=800) < 0.7 * alone
    assert width(hits=0.5, judged=800) < 1.02 * alone


def test_few_confirmed_marks_measure_nothing() -> None:
    """Of the experts that have fewer than ten."""
    marks = world(np.random.default_rng(0), confirmed=FEWEST - 1)
    assert measured(marks) == {}
    assert measured([]) == {}


def test_marks_that_are_all_alike_are_not_certain() -> None:
    """Ten right answers of ten do not prove that all are."""
    marks = [Marked("a", 1.0, 1.0 if row < 10 else None) for row in range(50)]
    found = measured(marks)
    assert found["a"].low < 0.9
    assert found["a"].high == 1.0
