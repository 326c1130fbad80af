"""Impute an expert's missing marks from other experts' scores on the same prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collegium.router.predictors.base import rates

Array = NDArray[np.float64]
FEWEST = 10
"""Marks of an expert beside the others' from which on its other answers are guessed."""
PENALTY = 8.0
"""Ridge penalty on weights that differ from the mean, in marks."""
GUESSED = 0.3
"""The weight of an imputed mark."""


def imputed(scores: Array) -> tuple[Array, Array]:
    """The scores (n, e) with guesses for missing ones, and what each counts: 1, `GUESSED` or 0.

    A newcomer is first of all a mixture of the experts that are known: a ridge regression of its
    marks on theirs finds it ("tinyBenchmarks", Polo et al., ICML 2024, predicts by such anchors).
    Guessed are experts with marks on fewer than half of the prompts, on prompts that at least half
    of the others were marked on; NaN stays what nobody can guess.
    """
    seen = ~np.isnan(scores)
    found, weight = scores.copy(), seen.astype(np.float64)
    usual = rates(scores)
    for expert in np.flatnonzero(seen.mean(axis=0) < 0.5):
        others = np.flatnonzero(seen.mean(axis=0) >= 0.5)
        others = others[others != expert]
        if not len(others):
            continue
        able = seen[:, others].mean(axis=1) >= 0.5
        marked = able & seen[:, expert]
        if marked.sum() < FEWEST:
            continue
        known = np.where(seen[:, others], scores[:, others], usual[others])
        guesses = _guessed(known[marked], scores[marked, expert], known)
        missing = able & ~seen[:, expert]
        found[missing, expert] = guesses[missing]
        weight[missing, expert] = GUESSED
    return found, weight


def _guessed(known: Array, marks: Array, everywhere: Array) -> Array:
    """Ridge from the others' scores (m, k) to the marks (m,), around a share of their mean."""
    middle = known.mean(axis=0)
    near = known - middle
    common = near.mean(axis=1)
    # How much of what makes a prompt hard for the others makes it hard for this one.
    slope = float(np.clip((common @ (marks - marks.mean())) / (common @ common + 1.0), 0.0, 1.5))
    count = known.shape[1]
    rest = marks - marks.mean() - slope * common
    gram = near.T @ near + PENALTY * np.eye(count)
    weights = np.linalg.solve(gram, near.T @ rest) + slope / count
    level = (marks.sum() + 1.0) / (len(marks) + 2.0)
    return np.asarray(np.clip(level + (everywhere - middle) @ weights, 0.0, 1.0))
