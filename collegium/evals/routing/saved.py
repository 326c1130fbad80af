"""Evaluate a saved router on a recorded set like any other contender."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Bools, Floats
from collegium.evals.formats import load_any
from collegium.evals.routing.believing import forecasts
from collegium.evals.routing.lessons import Exam, Forecaster, Lesson
from collegium.evals.routing.names import ModelNames
from collegium.evals.routing.problem import Problem, read_problem, read_two, read_whole
from collegium.router.applications.signals import Signals
from collegium.router.artifact import FittedRouter, prompt_marks
from collegium.router.vectors import Encoder

NAME = "saved router"
NO_NAMES = ModelNames()


def unseen_part(
    fitted: FittedRouter,
    folder: Path,
    *,
    train: Path | None = None,
    whole: bool = False,
    seed: int = 0,
    names: ModelNames = NO_NAMES,
) -> Problem:
    """A set without the models that the router does not know, and judged on prompts new to it.

    The baselines learn from the set's training part, as always; from all of `train`, where it is
    given; or, if the set is judged `whole`, from the other parts of it.
    """
    models = load_any(folder).models
    pool = list(known_models(fitted, models, folder.name, names))
    if train is not None:
        problem = read_two(train, folder, pool=pool, seed=seed)
    elif whole:
        problem = read_whole(folder, pool=pool, seed=seed)
    else:
        problem = read_problem(folder, pool=pool, seed=seed)
    left = sorted(set(models) - set(pool))
    return _new_prompts(fitted, problem, folder.name, left)


def _new_prompts(
    fitted: FittedRouter, problem: Problem, name: str, unknown: Sequence[str]
) -> Problem:
    """Judge on prompts that the router was not fitted on; `unknown` models are named."""
    new = new_to(fitted, problem.prompts)
    folds = [replace(fold, test=fold.test[new[fold.test]]) for fold in problem.folds]
    seen = len(problem.test_rows) - sum(len(fold.test) for fold in folds)
    if not any(len(fold.test) for fold in folds):
        raise SetupError(
            f"the router was fitted on every prompt of '{name}' that could judge it; "
            "train without --all, or with the same --seed as here"
        )
    notes = [f"{seen} prompts that the router was fitted on are not judged"] if seen else []
    if unknown:
        notes.append(f"models that the router does not know: {', '.join(unknown)}")
    return replace(
        problem,
        folds=tuple(fold for fold in folds if len(fold.test)),
        notes=(*problem.notes, *notes),
        dropped=problem.dropped + seen,
    )


def saved_forecaster(
    fitted: FittedRouter, models: tuple[str, ...], encoder: Encoder, names: ModelNames = NO_NAMES
) -> Forecaster:
    """It learns nothing more: its forecasts of these models, in their order."""
    columns = list(known_models(fitted, models, "", names).values())

    def forecast(lesson: Lesson, exam: Exam) -> Floats:
        return saved_forecasts(fitted, columns, exam.X, exam.prompts, exam.signals, encoder)

    return forecast


def saved_forecasts(
    fitted: FittedRouter,
    columns: Sequence[int],
    X: Floats,
    prompts: Sequence[str],
    signals: Sequence[Signals],
    encoder: Encoder,
) -> Floats:
    """P(correct) of the router's experts in these columns for prompts with embeddings (n, d).

    `signals` (n) tell each request's application; they are empty if the set tells none.
    """
    quality = forecasts(fitted.beliefs, fitted.applications, X, prompts, signals, encoder)
    return np.asarray(quality[:, list(columns)])


def known_models(
    fitted: FittedRouter, models: Sequence[str], data: str, names: ModelNames = NO_NAMES
) -> dict[str, int]:
    """Where the router has those of a set's models that it knows; a SetupError if it knows none."""
    columns = {model: names.column(model, fitted.fingerprints) for model in models}
    if found := {model: column for model, column in columns.items() if column is not None}:
        return found
    raise SetupError(
        f"the router was not fitted on any model of '{data}' ({', '.join(models)}); "
        f"fit one with `collegium router train {data} --out DIR`, or say which of its experts they "
        "are with --map MODEL=EXPERT"
    )


def new_to(fitted: FittedRouter, prompts: Sequence[str]) -> Bools:
    """Which prompts the router was not fitted on, shape (n,)."""
    return np.asarray(~np.isin(prompt_marks(prompts), fitted.learnt_from))
