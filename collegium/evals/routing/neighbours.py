"""kNN baselines: a model is as good on a prompt as on the most similar training prompts.

"Rethinking Predictive Modeling for LLM Routing" (arXiv 2505.12601): hard to beat once k is tuned.
The judge has its own, so that its bar stays where it is when routers change.
"""

from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.routing.choosing import choose, picked
from collegium.evals.routing.lessons import Exam, Lesson, means

UNTUNED_K = 10
KS = (5, 10, 20, 40, 80, 160, 320)
SHARPNESS = (0.0, 5.0, 20.0)
"""Weights are exp(sharpness x cosine); 0 is all alike."""
FOLDS = 5
BLOCK = 512
"""Queries at a time: 512 x 320 neighbours x 60 models are 40 MB."""


@dataclass(frozen=True)
class Weighting:
    """How many neighbours count, and how much more the nearer ones do."""

    k: int
    sharpness: float


def untuned_knn(lesson: Lesson, exam: Exam) -> Floats:
    """Forecast the mean score on the 10 nearest training prompts."""
    return forecast(lesson.X, lesson.y, exam.X, [Weighting(UNTUNED_K, 0.0)])[0]


def tuned_knn(lesson: Lesson, exam: Exam) -> Floats:
    """Forecast with the weighting whose choices score best on left-out training prompts."""
    return forecast(lesson.X, lesson.y, exam.X, [tuned_weighting(lesson)])[0]


def tuned_weighting(lesson: Lesson) -> Weighting:
    """Return the weighting whose choices score best in cross-validation over families."""
    options = [Weighting(k, sharpness) for k in KS for sharpness in SHARPNESS]
    marks = np.zeros(len(options))
    families = np.unique(lesson.families)
    shuffled = np.random.default_rng(0).permutation(families)
    for part in range(min(FOLDS, len(families)) if len(families) > 1 else 0):
        left = np.isin(lesson.families, shuffled[part::FOLDS])
        y, truth = lesson.y[~left], lesson.y[left]
        for place, found in enumerate(forecast(lesson.X[~left], y, lesson.X[left], options)):
            chosen = choose(found, np.isfinite(truth), -means(y))
            marks[place] += picked(truth, chosen).sum()
    return options[int(marks.argmax())]


def forecast(
    known: Floats, scores: Floats, queries: Floats, options: list[Weighting]
) -> list[Floats]:
    """Return the forecasts (queries, models) of each weighting, from one search."""
    most = min(max(option.k for option in options), len(known))
    overall = means(scores)
    known, queries = known.astype(np.float32), queries.astype(np.float32)
    measured = np.isfinite(scores)
    filled = np.where(measured, scores, 0.0)
    parts: list[list[Floats]] = [[] for _ in options]
    for start in range(0, len(queries), BLOCK):
        cosine = queries[start : start + BLOCK] @ known.T
        nearest = _nearest(cosine, most)
        similar = np.take_along_axis(cosine, nearest, axis=1).astype(np.float64)
        for option, found in zip(options, parts, strict=True):
            k = min(option.k, most)
            weights = np.exp(option.sharpness * (similar[:, :k] - similar[:, :1]))
            found.append(_means(weights, nearest[:, :k], filled, measured, overall))
    return [np.concatenate(found) for found in parts]


def _nearest(cosine: Floats, k: int) -> Ints:
    """Return the k likest columns of each row, the likest first."""
    found = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(cosine, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1).astype(np.int64)


def _means(
    weights: Floats, rows: Ints, scores: Floats, measured: Floats, overall: Floats
) -> Floats:
    """Return weighted means over those neighbours that were measured."""
    seen = measured[rows]
    total = np.einsum("nk,nke->ne", weights, seen.astype(np.float64))
    sums = np.einsum("nk,nke->ne", weights, scores[rows])
    return np.where(total > 0, sums / np.where(total > 0, total, 1), overall)
