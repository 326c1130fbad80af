"""A router that was saved, judged on a recorded set like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.arrays import Floats
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
    known, models = set(fitted.fingerprints), load_any(folder).models
    pool = [model for model in models if named(model) in known]
    if not pool:
        raise SetupError(
            f"the router was not fitted on any model of '{folder.name}' ({', '.join(models)}); "
            f"fit one with `collegium router train {folder.name} --out DIR`"
        )
    problem = read_problem(folder, pool=pool, seed=seed)
    new = ~np.isin(prompt_marks(problem.prompts), fitted.learnt_from)
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
    columns = [fitted.fingerprints.index(named(model)) for model in models]

    def forecasts(lesson: Lesson, exam: Exam) -> Floats:
        return np.asarray(fitted.quality.predict(exam.X)[:, columns])

    return forecasts
