"""Leave one model out, let it join again with K marks, and measure its recovered value.

It joins as it does in a service: a router is fitted to all marks of the others and to the K marks
of the newcomer, and chooses by its forecasts of everybody. A model's *routing value* is what the
pool's routing gains by such a router: accuracy with the model less accuracy of a router that was
fitted without it, over the same test prompts. What is *recovered* is the value with K marks over
that with all of the model's marks.

In a pool of twenty most models have no value at all: without them the pool routes as well. So the
value is taken as the mean over small pools that the model joins, drawn at random from the others
(`random`); the pool of its nearest equals by training score (`equals`) and all others (`whole`)
are told beside. A ratio over nothing says nothing: models with less than half a point of
full-data value are left out of the median; what any model loses by joining is `harm`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import draw_counts
from collegium.evals.routing.believing import forecasts, taught
from collegium.evals.routing.lessons import Exam, Lesson, lesson_and_exam, means
from collegium.evals.routing.problem import Problem
from collegium.evals.routing.recorded import best_known
from collegium.evals.studies.newcomers.probes import choose_probes
from collegium.evals.studies.newcomers.recovery import Joined
from collegium.router.vectors import Encoder

PROBES = (50,)
POOL = 4
"""Known models in the small pools."""
POOLS = 20
"""Random pools for each model."""
RESAMPLES = 1_000
VIEWS = ("random", "equals", "whole")
METHODS = ("beliefs", "profile")


def recover(
    problem: Problem,
    X: Floats,
    encoder: Encoder,
    *,
    probes: Sequence[int] = PROBES,
    draws: int = 1,
    seed: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[Joined]:
    """Leave every model out in turn; `draws` choices of probes are averaged.

    `X` has a row a prompt; `encoder` embeds what an application's requests have in common.
    """
    fold = problem.folds[0]
    lesson, exam = lesson_and_exam(problem, X, fold)
    scores = problem.scores[fold.test]
    full = {view: np.zeros(scores.shape) for view in VIEWS}
    found = {key: np.zeros(scores.shape) for key in product(VIEWS, METHODS, probes)}
    all_data = _believed(lesson, exam, encoder)
    for model in progress(range(len(problem.models))):
        without = _without(lesson, exam, encoder, model)
        random = np.random.default_rng([seed, model])
        judge = _Judge(means(lesson.y), scores, without, model, random)
        for view in VIEWS:
            full[view][:, model] = judge.gain(view, all_data)
        for k, draw in product(probes, range(draws)):
            rows = _probes(lesson, model, k, seed=seed + draw)
            joined = {
                "beliefs": _believed(_marked(lesson, model, rows), exam, encoder),
                "profile": _profiled(lesson, exam, without, model, rows),
            }
            for view, method in product(VIEWS, METHODS):
                found[view, method, k][:, model] += judge.gain(view, joined[method]) / draws
    weights = _resampled(len(scores), seed)
    resampled = {view: weights @ table for view, table in full.items()}
    return [
        Joined(
            problem.name,
            view,
            method,
            k,
            table.mean(axis=0),
            full[view].mean(axis=0),
            weights @ table,
            resampled[view],
            problem.dropped,
        )
        for (view, method, k), table in found.items()
    ]


def _believed(lesson: Lesson, exam: Exam, encoder: Encoder) -> Floats:
    """What the service would forecast of the exam after this lesson, shape (n, e)."""
    found = taught(lesson, encoder)
    believed = found.beliefs, found.applications
    return forecasts(*believed, exam.X, exam.prompts, exam.signals, encoder)


def _without(lesson: Lesson, exam: Exam, encoder: Encoder, model: int) -> Floats:
    """The forecasts of a router that never heard of a model, NaN in its column."""
    others = replace(lesson, y=np.delete(lesson.y, model, axis=1))
    return np.insert(_believed(others, exam, encoder), model, np.nan, axis=1)


def _marked(lesson: Lesson, model: int, rows: Ints) -> Lesson:
    """The lesson in which a model has marks on `rows` alone."""
    y = lesson.y.copy()
    y[:, model] = np.nan
    y[rows, model] = lesson.y[rows, model]
    return replace(lesson, y=y)


def _probes(lesson: Lesson, model: int, k: int, *, seed: int) -> Ints:
    """Choose k training prompts on which the newcomer was measured, by what others scored."""
    rows = np.flatnonzero(np.isfinite(lesson.y[:, model]))
    others = np.delete(lesson.y[rows], model, axis=1)
    k = min(k, len(rows))
    chosen: Ints = rows[choose_probes(lesson.X[rows], k, outcomes=others, seed=seed)]
    return chosen


def _profiled(lesson: Lesson, exam: Exam, without: Floats, model: int, rows: Ints) -> Floats:
    """What `expert profile` makes of the probes: a level for each task, smoothed by Laplace.

    It is told the task of each test prompt, which the service has to guess.
    """
    asked, outcomes = np.asarray(lesson.tasks)[rows], lesson.y[rows, model]
    levels = {
        task: (outcomes[asked == task].sum() + 1) / ((asked == task).sum() + 2)
        for task in set(exam.tasks)
    }
    table = without.copy()
    table[:, model] = [levels[task] for task in exam.tasks]
    return table


def _resampled(count: int, seed: int) -> Floats:
    """How often each test prompt is drawn in each resample, as shares, (resamples, n)."""
    rows = [np.arange(count, dtype=np.int64)]
    return draw_counts(rows, RESAMPLES, np.random.default_rng(seed)) / count


class _Judge:
    """Gains of score on the test prompts by one model that joins, in each view's pools."""

    def __init__(
        self,
        levels: Floats,
        scores: Floats,
        without: Floats,
        model: int,
        random: np.random.Generator,
    ) -> None:
        known = np.delete(np.arange(len(levels)), model)
        size = min(POOL, len(known))
        nearest = known[np.argsort(np.abs(levels[known] - levels[model]), kind="stable")]
        pools = {
            "random": [random.choice(known, size, replace=False) for _ in range(POOLS)],
            "equals": [nearest[:size]],
            "whole": [known],
        }
        self._scores = scores
        self._pools = {
            view: [(np.append(pool, model), best_known(without, scores, pool)[1]) for pool in each]
            for view, each in pools.items()
        }

    def gain(self, view: str, forecasts: Floats) -> Floats:
        """Score by these forecasts less score without the model, mean over the pools, (n,)."""
        gains = [
            np.nan_to_num(best_known(forecasts, self._scores, pool)[1] - before)
            for pool, before in self._pools[view]
        ]
        return np.asarray(np.mean(gains, axis=0), dtype=np.float64)
