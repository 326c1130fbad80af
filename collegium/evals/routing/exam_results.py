"""Each contender's choices on the test prompts, with their quality and cost."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Bools, Floats, Ints
from collegium.evals.routing import baselines as base
from collegium.evals.routing.choosing import choose, picked
from collegium.evals.routing.lessons import Forecaster, Peer, lesson_and_exam, means
from collegium.evals.routing.problem import Problem
from collegium.evals.routing.routing_report import Kind

Tick = Callable[[str], None]


@dataclass(frozen=True)
class Judged:
    """The judged part of a problem: outcomes, and what may be known of costs beforehand."""

    scores: Floats
    costs: Floats
    expected_cost: Floats
    """Mean dollars of each model on training prompts: all that choices may know."""

    @property
    def measured(self) -> Bools:
        """Which cells there are to choose."""
        return np.isfinite(self.scores)


@dataclass(frozen=True)
class Result:
    """One contender on all judged prompts."""

    name: str
    kind: Kind
    note: str
    scores: Floats
    """What its choice scored, a prompt; for `random` the expected value."""
    costs: Floats
    chosen: Ints | None = None
    forecasts: Floats | None = None
    honest: bool = False
    """Whether the forecasts are probabilities that were learnt, so that calibration means much."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Decisions:
    """What a running service decided for every judged prompt."""

    chosen: Ints
    """Columns of models, shape (n,)."""
    forecasts: Floats
    """P(correct), shape (n, e); NaN where the service made none."""


def judged(problem: Problem) -> Judged:
    """Cut the judged rows out of a problem."""
    rows, known = problem.test_rows, problem.train_rows
    return Judged(problem.scores[rows], problem.costs[rows], problem.costs[known].mean(axis=0))


def results(
    problem: Problem, X: Floats, routers: Mapping[str, Forecaster], *, tick: Tick
) -> list[Result]:
    """Let every router and baseline learn and choose; `tick` is told who is done."""
    exam = judged(problem)
    found = [_oracle(exam)]
    for name, forecaster in routers.items():
        found.append(_learnt(problem, X, exam, name, "router", forecaster, ""))
        tick(name)
    for name, (forecaster, note) in base.BASELINES.items():
        found.append(_learnt(problem, X, exam, name, "baseline", forecaster, note))
        tick(name)
    return [*found, _random(exam), _hindsight(exam)]


def contender_count(routers: Mapping[str, Forecaster], peers: Mapping[str, Peer]) -> int:
    """Return how many ticks a problem takes."""
    return len(routers) + len(peers) + len(base.BASELINES)


def chosen_by(
    exam: Judged, forecasts: Floats, name: str, kind: Kind, note: str, *, seconds: float = 0.0
) -> Result:
    """Choose the best forecast of each prompt; of equals the one expected to be cheapest."""
    chosen = choose(forecasts, exam.measured, exam.expected_cost)
    scores, costs = picked(exam.scores, chosen), picked(exam.costs, chosen)
    return Result(name, kind, note, scores, costs, chosen, forecasts, True, seconds)


def decided_by(exam: Judged, name: str, found: Decisions) -> Result:
    """What a running service's decisions brought."""
    note = "what the running service decided"
    scores, costs = picked(exam.scores, found.chosen), picked(exam.costs, found.chosen)
    return Result(name, "router", note, scores, costs, found.chosen, found.forecasts, True)


def _learnt(
    problem: Problem,
    X: Floats,
    exam: Judged,
    name: str,
    kind: Kind,
    forecaster: Forecaster,
    note: str,
) -> Result:
    started = time.perf_counter()
    forecasts = np.full(problem.scores.shape, np.nan)
    for fold in problem.folds:
        lesson, questions = lesson_and_exam(problem, X, fold)
        forecasts[fold.test] = _checked(forecaster(lesson, questions), name, fold.test)
    seconds = time.perf_counter() - started
    return chosen_by(exam, forecasts[problem.test_rows], name, kind, note, seconds=seconds)


def _checked(forecasts: Floats, name: str, rows: Ints) -> Floats:
    if len(forecasts) != len(rows) or not np.isfinite(forecasts).all():
        raise SetupError(
            f"the router '{name}' made no finite forecast for each prompt and model: this is a "
            "mistake in the router"
        )
    return forecasts


def _oracle(exam: Judged) -> Result:
    chosen = choose(exam.scores, exam.measured, exam.costs)
    note = "the best model per prompt, known afterwards; of equals the cheapest"
    scores, costs = picked(exam.scores, chosen), picked(exam.costs, chosen)
    return Result(base.ORACLE, "oracle", note, scores, costs, chosen, exam.scores)


def _random(exam: Judged) -> Result:
    counts = exam.measured.sum(axis=1)
    scores = np.where(exam.measured, exam.scores, 0).sum(axis=1) / counts
    costs = np.where(exam.measured, exam.costs, 0).sum(axis=1) / counts
    return Result(base.RANDOM, "baseline", "expected value of a random model", scores, costs)


def _hindsight(exam: Judged) -> Result:
    forecasts = np.tile(means(exam.scores), (len(exam.scores), 1))
    note = "one model for all, picked on the judged prompts themselves, so it flatters"
    result = chosen_by(exam, forecasts, base.HINDSIGHT, "baseline", note)
    return Result(result.name, "baseline", note, result.scores, result.costs, result.chosen)
