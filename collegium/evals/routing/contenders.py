"""Routers by name: each learns from a lesson and forecasts an exam."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from collegium.errors import SetupError
from collegium.evals.arrays import Floats
from collegium.evals.routing.labels import UNLABELLED
from collegium.evals.routing.lessons import Exam, Forecaster, Lesson

REGISTRY = "collegium.router.predictors"


def routers(wanted: Sequence[str] = ()) -> dict[str, Forecaster]:
    """Return the routers of these names, or all that there are."""
    known = registry()
    if unknown := [name for name in wanted if name not in known]:
        raise SetupError(f"no router is called {', '.join(unknown)}; there are {', '.join(known)}")
    return {name: forecaster(known[name]) for name in (wanted or known)}


def registry() -> Mapping[str, Callable[[], Any]]:
    """Return what makes each predictor."""
    found: Mapping[str, Callable[[], Any]] = importlib.import_module(REGISTRY).PREDICTORS
    return found


def headline(routers: Mapping[str, Forecaster]) -> str:
    """Return the name of the router that the service uses, or of the first where it is absent."""
    usual: str = importlib.import_module(REGISTRY).DEFAULT
    return usual if usual in routers else next(iter(routers))


def forecaster(make: Callable[[], Any]) -> Forecaster:
    """Wrap a predictor: `fit(X, y, labels=, groups=)`, then `predict(X)`."""

    def forecasts(lesson: Lesson, exam: Exam) -> Floats:
        named = any(task != UNLABELLED for task in lesson.tasks)
        predictor = make()
        predictor.fit(
            lesson.X,
            lesson.y,
            labels=np.asarray(lesson.tasks) if named else None,
            groups=lesson.families,
        )
        return np.asarray(predictor.predict(exam.X), dtype=np.float64)

    return forecasts
