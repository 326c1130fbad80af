"""A contender's input: a training set, and the test prompts to forecast."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.routing.choosing import Choice
from collegium.evals.routing.problem import Problem
from collegium.evals.routing.splits import Fold
from collegium.router.applications.signals import Signals


@dataclass(frozen=True)
class Lesson:
    """Training prompts with their vectors (n, d), and what each model scored on them (n, e)."""

    X: Floats
    y: Floats
    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    families: Ints
    signals: tuple[Signals, ...] = ()
    """What each prompt shows of its application; empty if the set tells none."""


@dataclass(frozen=True)
class Exam:
    """Prompts to forecast. Only the task table may look at `tasks`."""

    X: Floats
    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    signals: tuple[Signals, ...] = ()


Forecaster = Callable[[Lesson, Exam], Floats]
"""Learn, then forecast the score of every model on every prompt of the exam: shape (n, e)."""


class Chooser(Protocol):
    """Learn, then choose a model for every prompt of the exam."""

    def __call__(self, lesson: Lesson, exam: Exam) -> Choice:
        """Raise PeerFailed if no choice comes of it."""


@dataclass(frozen=True)
class Peer:
    """Another project's router, which is judged beside ours."""

    choose: Chooser
    note: str
    pairs_only: bool = False
    """Whether it routes between two models, no more."""


def lesson_and_exam(problem: Problem, X: Floats, fold: Fold) -> tuple[Lesson, Exam]:
    """Cut one fold out of a problem whose prompts have the vectors `X`."""
    lesson = Lesson(
        X[fold.train],
        problem.scores[fold.train],
        tuple(problem.prompts[row] for row in fold.train),
        tuple(problem.tasks[row] for row in fold.train),
        problem.families[fold.train],
        _of_rows(problem.signals, fold.train),
    )
    exam = Exam(
        X[fold.test],
        tuple(problem.prompts[row] for row in fold.test),
        tuple(problem.tasks[row] for row in fold.test),
        _of_rows(problem.signals, fold.test),
    )
    return lesson, exam


def _of_rows(signals: tuple[Signals, ...], rows: Ints) -> tuple[Signals, ...]:
    return tuple(signals[row] for row in rows) if signals else ()


def means(y: Floats) -> Floats:
    """Return each model's mean score; the overall mean for an unmeasured model."""
    known = np.isfinite(y)
    counts = known.sum(axis=0)
    sums = np.where(known, y, 0).sum(axis=0)
    overall = sums.sum() / max(1, counts.sum())
    return np.where(counts > 0, sums / np.maximum(1, counts), overall)
