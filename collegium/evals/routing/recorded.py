"""A set with outcomes, vectors and out-of-fold forecasts, for learning after training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.routing.problem import Problem

FOLDS = 5
Make = Callable[[], Any]
"""Makes a predictor: `fit(X, y)`, then `predict(X)`, both (n, models)."""


@dataclass(frozen=True)
class Recorded:
    """Prompts by models; a row's `forecasts` come from a fit without that row.

    `scores`, `costs` and `forecasts` have shape (prompts, models), `X` (prompts, d); a score that
    nobody measured is NaN. `train` and `test` are rows.
    """

    name: str
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    X: Floats
    scores: Floats
    costs: Floats
    forecasts: Floats
    train: Ints
    test: Ints
    dropped: int = 0
    """Prompts that do not judge, because their text is learnt from."""


def record(problem: Problem, X: Floats, make: Make, *, seed: int = 0) -> Recorded:
    """Put a problem's first fold, its vectors and honest forecasts together.

    The predictor must forecast each model by that model's outcomes alone, as `linear` and `knn`
    do: else a model that is left out later has left its traces in the others' forecasts.
    """
    fold = problem.folds[0]
    return Recorded(
        problem.name,
        problem.models,
        problem.tasks,
        X,
        problem.scores,
        problem.costs,
        crossfit(make, X, problem.scores, fold.train, seed=seed),
        fold.train,
        fold.test,
        problem.dropped,
    )


def crossfit(make: Make, X: Floats, scores: Floats, train: Ints, *, seed: int = 0) -> Floats:
    """Forecast every row: those in `train` by fits on the other folds of it, all else by all of it.

    Shape (prompts, models).
    """
    forecasts = np.empty_like(scores)
    rest = np.setdiff1d(np.arange(len(X)), train)
    if len(rest):
        forecasts[rest] = make().fit(X[train], scores[train]).predict(X[rest])
    shuffled = np.random.default_rng(seed).permutation(train)
    for left in np.array_split(shuffled, FOLDS):
        kept = np.setdiff1d(train, left)
        forecasts[left] = make().fit(X[kept], scores[kept]).predict(X[left])
    return forecasts


def best_known(
    forecasts: Floats, scores: Floats, pool: Sequence[int] | Ints
) -> tuple[Floats, Floats]:
    """The best forecast of a pool and the score that it brings, each (n,)."""
    inside = np.where(np.isfinite(scores[:, pool]), forecasts[:, pool], -np.inf)
    rows, chosen = np.arange(len(scores)), inside.argmax(axis=1)
    return inside[rows, chosen], scores[:, pool][rows, chosen]
