"""Marks of judges, corrected by confirmed ones."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.registry.learning.runs import Evidence, Mark, MarkSource
from collegium.router.learning.corrected import FEWEST_CONFIRMED, corrected


def mark(number: int, source: MarkSource, score: float, expert: str = "a") -> Mark:
    """A mark of the one run."""
    return Mark("lrn_1", number, expert, source, score, 0.75, "")


def evidence(*marks: Mark) -> Evidence:
    """Marks without prompts and answers, which nobody looks at."""
    return Evidence((), (), marks)


def test_a_judge_that_nobody_checked_supports_no_promise() -> None:
    """Its marks stay as they are."""
    given = evidence(*(mark(n, "judge", 1.0) for n in range(50)))
    found = corrected(given)
    assert not found.confirmed
    assert found.evidence.marks == given.marks
    assert found.sources["judge"] == {"marks": 50, "confirmed": 0, "useful": False}


def test_a_program_supports_a_promise() -> None:
    """Its marks need no correction."""
    found = corrected(evidence(*(mark(n, "checker", 0.0) for n in range(30))))
    assert found.confirmed
    assert {m.score for m in found.evidence.marks} == {0.0}


def test_confirmed_marks_correct_the_others() -> None:
    """A judge that takes half of the wrong answers for right ones praises too much."""
    random = np.random.default_rng(0)
    truth = random.random(600) < 0.5
    said = truth | (random.random(600) < 0.5)
    judged = [mark(n, "judge", float(s)) for n, s in enumerate(said)]
    sure = [mark(n, "confirmed", float(truth[n])) for n in range(200)]
    found = corrected(evidence(*judged, *sure))
    assert found.confirmed
    scores = [m.score for m in found.evidence.marks if m.source == "judge"]
    assert np.mean(said) > 0.7
    assert np.mean(scores) == pytest.approx(np.mean(truth), abs=0.06)
    assert found.sources["judge"]["sensitivity"] > found.sources["judge"]["specificity"]


def test_a_source_that_was_checked_does_not_vouch_for_another() -> None:
    """Agreement that people confirmed supports its own marks, not those of an unchecked judge."""
    judged = [mark(n, "judge", 1.0) for n in range(500)]
    agreed = [mark(n, "agreement", float(n % 2), "b") for n in range(100)]
    sure = [mark(n, "confirmed", float(n % 2), "b") for n in range(40)]
    assert not corrected(evidence(*judged, *agreed, *sure)).confirmed
    assert corrected(evidence(*agreed, *sure)).confirmed


def test_a_judge_that_tosses_a_coin_is_left_out() -> None:
    """Its marks tell nothing."""
    random = np.random.default_rng(0)
    judged = [mark(n, "judge", float(random.random() < 0.5)) for n in range(300)]
    sure = [mark(n, "confirmed", float(random.random() < 0.5)) for n in range(100)]
    found = corrected(evidence(*judged, *sure))
    assert {m.source for m in found.evidence.marks} == {"confirmed"}


def test_too_few_confirmed_marks_correct_nothing() -> None:
    """They would only add chance."""
    judged = [mark(n, "judge", 1.0) for n in range(50)]
    sure = [mark(n, "confirmed", 0.0) for n in range(FEWEST_CONFIRMED - 1)]
    found = corrected(evidence(*judged, *sure))
    assert [m.score for m in found.evidence.marks if m.source == "judge"] == [1.0] * 50
