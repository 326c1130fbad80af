"""Detect scores that are confidences rather than marks, and convert them.

RouterDC (arXiv 2409.19886) gives multiple-choice answers the probability of the right option where
it was the likeliest and 0 elsewhere: such an answer is right if its score is above 0. Of other
tasks (pass rates, F1, samples that agree) the score itself is the mark.
"""

import re
from collections.abc import Sequence

import numpy as np

from collegium.evals.core.arrays import Floats

MULTIPLE_CHOICE = re.compile(r"(mmlu|cmmlu|arc)([-_].*)?|ceval.*")
"""Tasks whose answers are right or wrong and nothing between."""


def marks(scores: Floats, tasks: Sequence[object] | None) -> Floats:
    """Return the scores with fractions of multiple-choice tasks as 0 or 1; NaN stays NaN."""
    if tasks is None:
        return scores
    choice = np.array([is_multiple_choice(task) for task in tasks], dtype=bool)
    right = choice[:, None] & (scores > 0)
    return np.where(right, 1.0, scores)


def is_multiple_choice(task: object) -> bool:
    """Say by its name whether a task is multiple choice."""
    return isinstance(task, str) and MULTIPLE_CHOICE.fullmatch(task.lower()) is not None
