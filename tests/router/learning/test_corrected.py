"""Marks of judges, corrected by confirmed ones."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.registry.learning.runs import (
    Evidence,
    LearningAnswer,
    LearningPrompt,
    Mark,
    MarkSource,
)
from collegium.router.learning.corrected import FEWEST_CONFIRMED, corrected


def mark(
    number: int, source: MarkSource, score: float, expert: str = "a", run: str = "lrn_1"
) -> Mark:
    """A mark of the one run, or of another."""
    return Mark(run, number, expert, source, score, 0.75, "")


def judged(*marks: Mark, failed: int = 0) -> Evidence:
    """Marks with their prompts and answers: those of one number are the same in every run.

    The last ones of lrn_1 `failed`.
    """
    cells = {(m.run_id, m.number) for m in marks}
    last = max(number for _, number in cells)
    prompts = [LearningPrompt(run, n, f"digest {n}", "", {}, {}) for run, n in cells]
    answers = [
        LearningAnswer(
            run,
            n,
            "a",
            "model a",
            None if run == "lrn_1" and n > last - failed else {"content": ""},
        )
        for run, n in cells
    ]
    return Evidence(tuple(prompts), tuple(answers), marks)


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


def test_each_judge_has_error_rates_of_its_own() -> None:
    """One that people checked does not vouch for another."""
    checked = [mark(n, "judge", float(n % 2)) for n in range(40)]
    sure = [mark(n, "confirmed", float(n % 2)) for n in range(40)]
    other = [mark(n, "judge", 1.0, run="lrn_2") for n in range(500)]
    given = evidence(*checked, *sure, *other)
    found = corrected(given, {"lrn_1": "good (pairwise)", "lrn_2": "bad (pairwise)"})
    assert not found.confirmed
    assert found.sources["judge good (pairwise)"]["confirmed"] == 40
    assert found.sources["judge bad (pairwise)"]["confirmed"] == 0
    assert corrected(given, {"lrn_1": "good (pairwise)", "lrn_2": "good (pairwise)"}).confirmed


def test_a_request_that_was_judged_in_two_runs_counts_once() -> None:
    """Or the interval would be too narrow, and moved to what was judged most often."""
    first = [mark(n, "judge", float(n % 2)) for n in range(60)]
    sure = [mark(n, "confirmed", float(n % 2)) for n in range(30)]
    again = [mark(n, "judge", 1.0, run="lrn_2") for n in range(1, 60, 2)]
    once = corrected(judged(*first, *sure)).measured["model a"]
    twice = corrected(judged(*first, *sure, *again)).measured["model a"]
    assert (twice.quality, twice.low, twice.judged) == (once.quality, once.low, 60)


def test_answers_that_never_came_count_as_wrong() -> None:
    """Nobody has to confirm them."""
    marks = [mark(n, "judge", 1.0) for n in range(60)]
    sure = [mark(n, "confirmed", 1.0) for n in range(30)]
    found = corrected(judged(*marks, *sure, failed=15)).measured["model a"]
    assert (found.quality, found.judged) == (0.75, 45)
    assert found.low < 0.75


def test_how_many_marks_of_each_expert_were_confirmed_is_told() -> None:
    """Too few support no interval."""
    marks = [mark(n, "judge", 1.0) for n in range(60)]
    sure = [mark(n, "confirmed", 1.0) for n in range(4)]
    found = corrected(judged(*marks, *sure))
    assert (found.measured, found.confirmed_of) == ({}, {"model a": 4})
