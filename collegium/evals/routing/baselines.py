"""Baselines: a single model, a table by task, the prompt's length.

Each learns from the lesson and forecasts every score, so that it is measured as routers are.
"""

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.routing.lessons import Exam, Forecaster, Lesson, means
from collegium.evals.routing.neighbours import tuned_knn, untuned_knn

BEST_SINGLE = "best_single"
HINDSIGHT = "best_single_in_hindsight"
RANDOM = "random"
TASK_TABLE = "task_table"
PROMPT_LENGTH = "prompt_length"
UNTUNED_KNN = "untuned_knn"
TUNED_KNN = "tuned_knn"
ORACLE = "oracle"


def best_single(lesson: Lesson, exam: Exam) -> Floats:
    """Forecast each model's mean on the lesson, whatever the prompt."""
    return np.tile(means(lesson.y), (len(exam.prompts), 1))


def task_table(lesson: Lesson, exam: Exam) -> Floats:
    """Forecast each model's mean on the prompt's task; on an unknown task its mean on all.

    It is told the task, which a router has to guess.
    """
    overall, tasks = means(lesson.y), np.asarray(lesson.tasks)
    table = {}
    for task in set(lesson.tasks):
        part = lesson.y[tasks == task]
        measured = np.isfinite(part).any(axis=0)
        table[task] = np.where(measured, means(part), overall)
    return np.stack([table.get(task, overall) for task in exam.tasks])


def prompt_length(lesson: Lesson, exam: Exam) -> Floats:
    """Forecast each model by a straight line in the logarithm of the prompt's length.

    With two models this is a threshold on the length, whichever way round is right.
    """
    x, new = _log_length(lesson.prompts), _log_length(exam.prompts)
    lines = [_line(x, column) for column in lesson.y.T]
    return np.stack([intercept + slope * new for slope, intercept in lines], axis=1)


def _log_length(prompts: tuple[str, ...]) -> Floats:
    return np.log1p(np.array([len(prompt) for prompt in prompts], dtype=np.float64))


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return slope and intercept by least squares; flat where there is nothing to fit."""
    known = np.isfinite(y)
    x, y = x[known], y[known]
    spread = float(((x - x.mean()) ** 2).sum()) if x.size else 0.0
    if spread <= 0:
        return 0.0, float(y.mean()) if y.size else 0.5
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    return slope, float(y.mean() - slope * x.mean())


BASELINES: dict[str, tuple[Forecaster, str]] = {
    BEST_SINGLE: (best_single, "one model for all, picked on training prompts"),
    TASK_TABLE: (task_table, "best model per task on training prompts; it is told the task"),
    PROMPT_LENGTH: (prompt_length, "a line in log prompt length per model"),
    UNTUNED_KNN: (untuned_knn, "the 10 nearest training prompts, all alike"),
    TUNED_KNN: (tuned_knn, "k and weighting by cross-validation"),
}
"""Baselines that learn, each with a note for people."""
