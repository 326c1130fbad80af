"""Beliefs as fitted by `router train`, and their forecasts as a service makes them."""

from collections.abc import Sequence

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.core.signals import SILENT
from collegium.evals.routing.lessons import Lesson
from collegium.registry.application import Application
from collegium.router.applications.resolver import MOST, Applications
from collegium.router.applications.signals import Signals
from collegium.router.beliefs.beliefs import Beliefs
from collegium.router.decision import Query
from collegium.router.forecasting import Asked
from collegium.router.reading import asked_by, new_contexts
from collegium.router.training import Believed, fit_beliefs
from collegium.router.vectors import Encoder
from collegium.router.views import familiar


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
    prompts: Sequence[str],
    signals: Sequence[Signals],
    encoder: Encoder,
) -> Floats:
    """P(correct) of every expert for prompts with embeddings (n, d) and `signals`, or with none."""
    X = familiar(prompts, X, beliefs.evidence_.weights(X), beliefs.evidence_, encoder)
    asked = who_asked(beliefs, applications, signals or [SILENT] * len(X), encoder)
    names = [each.application for each in asked]
    return np.asarray(beliefs.forecast(X, names, [each.context for each in asked]).quality)


def who_asked(
    beliefs: Beliefs,
    applications: Sequence[Application],
    signals: Sequence[Signals],
    encoder: Encoder,
) -> list[Asked]:
    """Return the application of each request, as a service that knows `applications` would
    recognise it.
    """
    known = Applications(most=max(MOST, len(signals)))
    known.load(applications)
    queries = [Query("", signals=each, application=known.of(each)) for each in signals]
    told = new_contexts(queries, beliefs)
    rows = encoder.encode(list(told.values())) if told else ()
    contexts = {key: np.asarray(row, np.float64) for key, row in zip(told, rows, strict=True)}
    return [asked_by(query, beliefs, contexts) for query in queries]
