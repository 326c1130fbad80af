"""Routers by name; each is fitted on a training set and forecasts a test set."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.routing.believing import forecasts, taught
from collegium.evals.routing.labels import UNLABELLED
from collegium.evals.routing.lessons import Exam, Forecaster, Lesson
from collegium.router.predictors import PREDICTORS, predictor_class
from collegium.router.vectors import Encoder

SERVED = "beliefs"
"""What `router train` fits and the service decides by."""


def routers(encoder: Encoder, wanted: Sequence[str] = ()) -> dict[str, Forecaster]:
    """Return the routers of these names, or all that there are.

    `encoder` embeds what an application's requests have in common.
    """
    names = (SERVED, *PREDICTORS)
    if unknown := [name for name in wanted if name not in names]:
        raise SetupError(f"unknown router {', '.join(unknown)}; available: {', '.join(names)}")
    return {name: _named(name, encoder) for name in (wanted or names)}


def headline(routers: Mapping[str, Forecaster]) -> str:
    """Return the name of the router that the service uses, or of the first where it is absent."""
    return SERVED if SERVED in routers else next(iter(routers))


def _named(name: str, encoder: Encoder) -> Forecaster:
    return served(encoder) if name == SERVED else forecaster(predictor_class(name))


def served(encoder: Encoder) -> Forecaster:
    """The beliefs that a service would be given."""

    def forecast(lesson: Lesson, exam: Exam) -> Floats:
        found = taught(lesson, encoder)
        believed = found.beliefs, found.applications
        return forecasts(*believed, exam.X, exam.prompts, exam.signals, encoder)

    return forecast


def forecaster(make: Callable[[], Any]) -> Forecaster:
    """Wrap a predictor: `fit(X, y, labels=, groups=)`, then `predict(X)`."""

    def forecast(lesson: Lesson, exam: Exam) -> Floats:
        named = any(task != UNLABELLED for task in lesson.tasks)
        predictor = make()
        predictor.fit(
            lesson.X,
            lesson.y,
            labels=np.asarray(lesson.tasks) if named else None,
            groups=lesson.families,
        )
        return np.asarray(predictor.predict(exam.X), dtype=np.float64)

    return forecast
