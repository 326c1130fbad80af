"""Beliefs as `router train` fits them, and their forecasts as a service makes them."""

from collections.abc import Sequence

import numpy as np

from collegium.evals.arrays import Floats
from collegium.evals.routing.lessons import Lesson
from collegium.evals.signals import SILENT
from collegium.registry.application import Application
from collegium.router.applications.resolver import MOST, Applications
from collegium.router.applications.signals import Signals
from collegium.router.beliefs.beliefs import Beliefs
from collegium.router.decision import Query
from collegium.router.forecasting import Asked
from collegium.router.reading import asked_by, new_contexts
from collegium.router.training import Believed, fit_beliefs
from collegium.router.vectors import Encoder


def taught(lesson: Lesson, encoder: Encoder) -> Believed:
    """What `router train` would believe after this lesson."""
    return fit_beliefs(
        lesson.X,
        lesson.y,
        lesson.signals or None,
        encoder,
        labels=lesson.tasks,
        groups=[str(family) for family in lesson.families],
    )


def forecasts(
    beliefs: Beliefs,
    applications: Sequence[Application],
    X: Floats,
    signals: Sequence[Signals],
    encoder: Encoder,
) -> Floats:
    """P(correct) of every expert for embeddings (n, d) of requests with `signals`, or with none."""
    asked = who_asked(beliefs, applications, signals or [SILENT] * len(X), encoder)
    names = [each.application for each in asked]
    return np.asarray(beliefs.forecast(X, names, [each.context for each in asked]).quality)


def who_asked(
    beliefs: Beliefs,
    applications: Sequence[Application],
    signals: Sequence[Signals],
    encoder: Encoder,
) -> list[Asked]:
    """Who sent each request, told one after another as by a service that knows `applications`."""
    known = Applications(most=max(MOST, len(signals)))
    known.load(applications)
    queries = [Query("", signals=each, application=known.of(each)) for each in signals]
    told = new_contexts(queries, beliefs)
    rows = encoder.encode(list(told.values())) if told else ()
    contexts = {key: np.asarray(row, np.float64) for key, row in zip(told, rows, strict=True)}
    return [asked_by(query, beliefs, contexts) for query in queries]
