"""Marks by sources that err, against numbers counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from collegium.evals.core.arrays import Floats
from collegium.evals.studies.adoption.marks import LABELS, Labels, marked
from collegium.evals.studies.adoption.worlds import World, world
from tests.evals.studies.adoption.sets import sets


@pytest.fixture(scope="module")
def small() -> World:
    """A world in which the third and the fifth expert are the most verbose."""
    made = world(sets())
    tokens = np.tile([10.0, 10, 90, 10, 80, 10, 10, 10], (len(made.prompts), 1))
    return replace(made, output_tokens=tokens)


def by(labels: Labels, made: World) -> tuple[Floats, Floats]:
    """The marks that a source gives to all prompts, and the truth."""
    rows = np.arange(len(made.prompts))
    return marked(made, rows, labels, np.random.default_rng(0)), made.scores


def test_a_reference_is_right(small: World) -> None:
    """Its marks are the recorded scores."""
    marks, truth = by("reference", small)
    np.testing.assert_array_equal(marks, truth)


def test_a_judge_turns_a_fifth_of_the_verdicts_round(small: World) -> None:
    """As many right ones as wrong ones, whoever answered."""
    marks, truth = by("judge", small)
    turned = marks != truth
    np.testing.assert_array_equal(marks[turned], 1 - truth[turned])
    for verdict in (0, 1):
        assert turned[truth == verdict].mean() == pytest.approx(0.2, abs=0.03)


def test_a_biased_judge_favours_the_two_most_verbose(small: World) -> None:
    """It takes half of their wrong answers for right, and errs in nothing else."""
    marks, truth = by("biased_judge", small)
    wrong = marks != truth
    assert set(np.flatnonzero(wrong.any(axis=0))) == {2, 4}
    assert truth[wrong].max() == 0
    verbose = truth[:, [2, 4]] == 0
    assert wrong[:, [2, 4]][verbose].mean() == pytest.approx(0.5, abs=0.1)


def test_agreement_is_with_the_dearest_expert(small: World) -> None:
    """Two right answers are alike, a right and a wrong one are not, two wrong ones half."""
    scores = np.array([[1.0, 1, 0, 1, 0, 0, 1, 0], [0.0, 1, 0, 1, 0, 0, 1, 0]])
    told = replace(small, scores=scores)
    marks = marked(told, np.arange(2), "agreement", np.random.default_rng(0))
    assert marks.tolist() == [[1, 1, 0, 1, 0, 0, 1, 0], [0.5, 0, 0.5, 0, 0.5, 0.5, 0, 0.5]]


@pytest.mark.parametrize("labels", LABELS)
def test_marks_are_the_same_for_the_same_seed(labels: Labels, small: World) -> None:
    """And lie from 0 to 1."""
    first, second = by(labels, small)[0], by(labels, small)[0]
    np.testing.assert_array_equal(first, second)
    assert first.min() >= 0
    assert first.max() <= 1
