"""A router that was saved, judged on a recorded set like any other."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.arrays import Bools, Floats
from collegium.evals.formats import load_any
from collegium.evals.routing.lessons import Exam, Forecaster, Lesson
from collegium.evals.routing.problem import Problem, read_problem
from collegium.router.artifact import FittedRouter, prompt_marks
from collegium.router.forecasting import named

NAME = "saved router"


def unseen_part(fitted: FittedRouter, folder: Path, *, seed: int = 0) -> Problem:
    """A set without the models that the router does not know, and judged on prompts new to it.

    The baselines learn from the set's training part, as always.
    """
    models = load_any(folder).models
    pool = known_models(fitted, models, folder.name)
    problem = read_problem(folder, pool=pool, seed=seed)
    new = new_to(fitted, problem.prompts)
    folds = tuple(replace(fold, test=fold.test[new[fold.test]]) for fold in problem.folds)
    seen = len(problem.test_rows) - sum(len(fold.test) for fold in folds)
    if not any(len(fold.test) for fold in folds):
        raise SetupError(
            f"the router was fitted on every prompt of '{folder.name}' that could judge it; "
            "train without --all, or with the same --seed as here"
        )
    notes = [f"{seen} prompts that the router was fitted on are not judged"] if seen else []
    if left := sorted(set(models) - set(pool)):
        notes.append(f"models that the router does not know: {', '.join(left)}")
    return replace(problem, folds=folds, notes=(*problem.notes, *notes))


def saved_forecaster(fitted: FittedRouter, models: tuple[str, ...]) -> Forecaster:
    """It learns nothing more: its forecasts of these models, in their order."""

    def forecasts(lesson: Lesson, exam: Exam) -> Floats:
        return saved_forecasts(fitted, models, exam.X)

    return forecasts


def saved_forecasts(fitted: FittedRouter, models: Sequence[str], X: Floats) -> Floats:
    """P(correct) of these models for embeddings (n, d), shape (n, models)."""
    columns = [fitted.fingerprints.index(named(model)) for model in models]
    return np.asarray(fitted.quality.predict(X)[:, columns])


def known_models(fitted: FittedRouter, models: Sequence[str], data: str) -> list[str]:
    """Those of a set's models that the router was fitted on; a SetupError where none is."""
    known = set(fitted.fingerprints)
    if found := [model for model in models if named(model) in known]:
        return found
    raise SetupError(
        f"the router was not fitted on any model of '{data}' ({', '.join(models)}); "
        f"fit one with `collegium router train {data} --out DIR`"
    )


def new_to(fitted: FittedRouter, prompts: Sequence[str]) -> Bools:
    """Which prompts the router was not fitted on, shape (n,)."""
    return np.asarray(~np.isin(prompt_marks(prompts), fitted.learnt_from))
