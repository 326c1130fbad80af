"""Routers by name: each learns from a lesson and forecasts an exam."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from collegium.errors import SetupError
from collegium.evals.arrays import Floats
from collegium.evals.routing.labels import UNLABELLED
from collegium.evals.routing.lessons import Exam, Forecaster, Lesson
from collegium.router.predictors import DEFAULT, PREDICTORS, predictor_class


def routers(wanted: Sequence[str] = ()) -> dict[str, Forecaster]:
    """Return the routers of these names, or all that there are."""
    known = ", ".join(PREDICTORS)
    if unknown := [name for name in wanted if name not in PREDICTORS]:
        raise SetupError(f"no router is called {', '.join(unknown)}; there are {known}")
    return {name: forecaster(predictor_class(name)) for name in (wanted or PREDICTORS)}


def headline(routers: Mapping[str, Forecaster]) -> str:
    """Return the name of the router that the service uses, or of the first where it is absent."""
    return DEFAULT if DEFAULT in routers else next(iter(routers))


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
