"""The bars that routers have to clear, against references."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor

from collegium.evals.routing.baselines import best_single, prompt_length, task_table
from collegium.evals.routing.lessons import Exam, Lesson
from collegium.evals.routing.neighbours import Weighting, forecast, tuned_weighting, untuned_knn
from tests.evals.routing.worlds import vectors, world


def lesson(each: int = 40, seed: int = 0) -> Lesson:
    """Return a lesson of the small world."""
    data = world(each, seed=seed)
    rows = np.arange(len(data.prompts), dtype=np.int64)
    tasks = tuple(map(str, data.labels["task"]))
    return Lesson(vectors(data.prompts), data.scores, data.prompts, tasks, rows)


def exam(*tasks: str) -> Exam:
    """Return an exam with a prompt of each task."""
    prompts = tuple(f"{task} new {i}" for i, task in enumerate(tasks))
    return Exam(vectors(prompts), prompts, tasks)


def test_the_best_single_model_does_not_look_at_prompts() -> None:
    """Its forecasts are means over what was measured."""
    given = lesson()
    given.y[0, 0] = np.nan
    found = best_single(given, exam("maths", "poems"))
    np.testing.assert_allclose(found, np.tile(np.nanmean(given.y, axis=0), (2, 1)))


def test_the_task_table_knows_each_task() -> None:
    """And falls back on the means of all where a task is new or a model was not measured on it."""
    given = lesson()
    tasks = np.array(given.tasks)
    given.y[tasks == "poems", 2] = np.nan
    found = task_table(given, exam("maths", "poems", "new"))
    overall = np.nanmean(given.y, axis=0)
    np.testing.assert_allclose(found[0], given.y[tasks == "maths"].mean(axis=0))
    np.testing.assert_allclose(found[1, :2], given.y[tasks == "poems", :2].mean(axis=0))
    assert found[1, 2] == pytest.approx(overall[2])
    np.testing.assert_allclose(found[2], overall)


def test_prompt_length_is_a_line() -> None:
    """A least-squares line in the logarithm of the length, over measured prompts."""
    prompts = tuple("x" * size for size in (3, 10, 40, 100, 300))
    y = np.array([[0, 1], [0, 1], [1, 1], [1, 0], [1, np.nan]], dtype=np.float64)
    given = Lesson(np.zeros((5, 1)), y, prompts, ("",) * 5, np.arange(5))
    new = Exam(np.zeros((2, 1)), ("x" * 20, "x" * 200), ("", ""))
    x = np.log1p([3, 10, 40, 100, 300])
    for column, known in ((0, slice(5)), (1, slice(4))):
        line = np.polyfit(x[known], y[known, column], 1)
        expected = np.polyval(line, np.log1p([20, 200]))
        np.testing.assert_allclose(prompt_length(given, new)[:, column], expected)


def test_equal_lengths_make_a_flat_line() -> None:
    """There is no slope to fit."""
    given = Lesson(np.zeros((2, 1)), np.array([[0.0], [1.0]]), ("ab", "cd"), ("", ""), np.arange(2))
    assert prompt_length(given, Exam(np.zeros((1, 1)), ("abcdef",), ("",)))[0, 0] == 0.5


def test_knn_is_scikit_learns() -> None:
    """The mean of the ten nearest by cosine."""
    given, new = lesson(), exam("maths", "poems", "law", "poems")
    reference = KNeighborsRegressor(10, metric="cosine").fit(given.X, given.y)
    np.testing.assert_allclose(untuned_knn(given, new), reference.predict(new.X), atol=1e-6)


def test_weights_are_exponential_in_the_cosine() -> None:
    """By hand, with a gap: an unmeasured neighbour does not count."""
    known = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    scores = np.array([[1.0, np.nan], [0.0, 0.0], [0.0, 1.0]])
    found = forecast(known, scores, np.array([[1.0, 0.0]]), [Weighting(2, 2.0)])[0]
    np.testing.assert_allclose(found, [[1 / (1 + np.exp(-2)), 0.0]], atol=1e-6)


def test_tuning_avoids_both_ends() -> None:
    """Five neighbours are noise here, and 320 are all prompts: the best single model."""
    assert 10 <= tuned_weighting(lesson(60)).k <= 80
