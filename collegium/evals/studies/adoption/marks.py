"""Noisy marks: by a reference, by judges, by agreement with the best model."""

from __future__ import annotations

from typing import Literal

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.studies.adoption.worlds import World
from collegium.experts.marking.error_rates import Confirmed, ErrorRates

Labels = Literal["reference", "judge", "biased_judge", "agreement"]
LABELS: tuple[Labels, ...] = ("reference", "judge", "biased_judge", "agreement")
ERRORS = 0.2
"""Of a judge's verdicts that are turned round."""
FAVOUR = 0.5
"""Of the wrong answers by the two most verbose experts that a biased judge takes for right."""


def marked(world: World, rows: Ints, labels: Labels, random: np.random.Generator) -> Floats:
    """The marks that a source gives to these prompts' answers, shape (rows, e)."""
    truth = world.scores[rows]
    if labels == "judge":
        return np.where(random.random(truth.shape) < ERRORS, 1.0 - truth, truth)
    if labels == "biased_judge":
        verbose = np.argsort(-world.output_tokens.mean(axis=0))[:2]
        favoured = np.zeros(truth.shape, dtype=bool)
        favoured[:, verbose] = random.random((len(rows), 2)) < FAVOUR
        return np.where(favoured & (truth < 0.5), 1.0, truth)
    if labels == "agreement":
        return _agreement(truth)
    return truth


def corrected(
    world: World, rows: Ints, marks: Floats, count: int, random: np.random.Generator
) -> Floats:
    """Marks (rows, e) as a learning run corrects them by `count` that a person confirmed, chosen at
    random.
    """
    names = [expert.name for expert in world.experts]
    chosen = random.choice(marks.size, count, replace=False)
    cells = [divmod(int(each), marks.shape[1]) for each in chosen]
    truth = world.scores[rows]
    rates = ErrorRates(
        Confirmed(str(row), names[column], marks[row, column], truth[row, column])
        for row, column in cells
    )
    found = np.full(marks.shape, np.nan)
    for column, name in enumerate(names):
        for noisy in np.unique(marks[:, column]):
            fixed = rates.corrected(name, float(noisy))
            if fixed is not None:
                found[marks[:, column] == noisy, column] = fixed.contrast
    for cell in cells:
        found[cell] = truth[cell]
    return found


def _agreement(truth: Floats) -> Floats:
    """Whether an answer is like the dearest expert's: two right answers are, two wrong ones half.

    The sets hold scores and few answers; which wrong answers are the same is not recorded.
    """
    first = truth[:, :1]
    return np.asarray(first * truth + (1 - first) * (1 - truth) * 0.5)
