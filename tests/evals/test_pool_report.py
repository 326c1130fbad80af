"""The judgement of a pool: hand-computed rows, paired intervals, honest edge cases."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import collegium
from collegium.errors import SetupError
from collegium.evals.arrays import Floats, Ints
from collegium.evals.outcomes import Outcomes
from collegium.evals.pool import chat_share, evaluate, overhead, spread, task_table
from collegium.evals.pool_report import PoolReport
from collegium.experts.specialists.tasks.base import Example

EXPERTS = ("add", "general", "sql")


def pool(scores: Floats, tasks: list[str], experts: tuple[str, ...] = EXPERTS) -> Outcomes:
    """Return outcomes with these scores."""
    examples = tuple(
        Example(f"p{number}", task, "t", f"prompt {number}", "")
        for number, task in enumerate(tasks)
    )
    ones = np.ones_like(scores)
    return Outcomes(examples, experts, scores, ones, ones, ones, ("test",) * len(tasks))


# Four sums and four queries; the specialists know their own task, the generalist a little of both.
SCORES = np.array(
    [
        [1, 1, 0],
        [1, 0, 0],
        [1, 0, 0],
        [0, 0, 0],
        [0, 1, 1],
        [0, 0, 1],
        [0, 0, 1],
        [0, 0, 1],
    ],
    dtype=np.float64,
)
TASKS = ["add"] * 4 + ["sql"] * 4
CHOICES: Ints = np.array([0, 0, 0, 0, 2, 2, 2, 1])


def report(**options: object) -> PoolReport:
    """Evaluate the small pool."""
    arguments: dict[str, object] = {"generalist": "general", "resamples": 400} | options
    return evaluate(pool(SCORES, TASKS), {"router": CHOICES}, **arguments)  # type: ignore[arg-type]


def test_the_rows_are_what_a_hand_computes() -> None:
    """Each expert alone, chance, the task table, the router and the oracle."""
    accuracy = {row.name: row.accuracy for row in report().rows}
    assert accuracy == {
        "add": 3 / 8,
        "general": 2 / 8,
        "sql": 4 / 8,
        "random": pytest.approx(9 / 24),
        "task_table": 7 / 8,
        "router": 6 / 8,
        "oracle": 7 / 8,
    }
    assert all(row.low <= row.accuracy <= row.high for row in report().rows)


def test_the_headline_is_at_the_top_of_the_json() -> None:
    """Machines find the four numbers without digging, and plain JSON everywhere."""
    found = json.loads(report(command="collegium eval pool").to_json())
    assert found["best_single"] == 0.5
    assert found["best_single_expert"] == "sql"
    assert found["router"] == 0.75
    assert found["oracle"] == 0.875
    assert found["gap_closed"] == pytest.approx((0.75 - 0.5) / (0.875 - 0.5))
    assert found["provenance"]["command"] == "collegium eval pool"
    assert found["provenance"]["versions"]["collegium"] == collegium.__version__
    assert found["provenance"]["counts"] == {
        "prompts": 8,
        "left_out": 0,
        "experts": 3,
        "validation_prompts": 0,
        "resamples": 400,
    }


def test_tasks_are_judged_one_by_one() -> None:
    """Each task has the rows of the whole, and the router's choices in it."""
    add, sql = report().per_task
    assert (add.task, add.prompts, sql.task, sql.prompts) == ("add", 4, "sql", 4)
    assert {row.name: row.accuracy for row in sql.rows}["router"] == 0.75
    assert add.choices == {"add": 1.0, "general": 0.0, "sql": 0.0}
    assert sql.choices == {"add": 0.0, "general": 0.25, "sql": 0.75}


def test_specialists_are_compared_with_the_generalist_on_their_own_task() -> None:
    """The expert that is called like a task is its specialist, unless told otherwise."""
    add, sql = report().specialists
    assert (add.expert, add.accuracy.estimate, add.generalist_accuracy.estimate) == (
        "add",
        0.75,
        0.25,
    )
    assert (sql.difference.estimate, sql.prompts) == (0.75, 4)
    (other,) = report(specialists={"add": "sql"}).specialists
    assert (other.task, other.expert, other.difference.estimate) == ("add", "sql", -0.25)
    assert report(generalist=None).specialists == ()


def test_intervals_are_paired() -> None:
    """A router that always beats the best expert by a little is better beyond doubt."""
    random = np.random.default_rng(0)
    hardness = random.random(400)
    scores = np.stack([hardness < 0.5, hardness < 0.45, hardness < 0.2], axis=1)
    scores[::12] = [False, False, True]
    choices = np.where(np.arange(400) % 12 == 0, 2, 0)
    found = evaluate(pool(scores.astype(float), ["add"] * 400), {"router": choices})
    difference, gap = (
        found.intervals["router_minus_best_single"],
        found.intervals["gap_closed"],
    )
    assert difference is not None
    assert gap is not None
    assert difference.excludes(0)
    assert found.router.low < found.best_single.high  # unpaired, they could not be told apart
    assert gap.low == gap.high == 1  # this router is the oracle


def test_without_a_gap_there_is_no_gap_closed() -> None:
    """One expert right everywhere: null in the JSON, and no failure."""
    scores = np.array([[1.0, 0, 0]] * 4)
    found = evaluate(pool(scores, ["add"] * 4), {"router": np.array([0, 0, 1, 0])}, resamples=50)
    assert found.intervals["gap_closed"] is None
    assert json.loads(found.to_json())["gap_closed"] is None
    assert found.router.accuracy == 0.75


def test_a_router_worse_than_the_best_expert_closes_less_than_nothing() -> None:
    """The share is negative, not cut off at nought."""
    choices = np.array([1] * 8)
    found = evaluate(pool(SCORES, TASKS), {"router": choices}, resamples=200)
    gap = found.intervals["gap_closed"]
    assert gap is not None
    assert gap.estimate == pytest.approx((0.25 - 0.5) / (0.875 - 0.5))


def test_prompts_without_all_answers_are_left_out_for_everyone() -> None:
    """NaN is neither right nor wrong; the report counts what it left out."""
    holes = SCORES.copy()
    holes[3, 1] = holes[7, 0] = np.nan
    found = evaluate(
        pool(holes, TASKS),
        {"router": CHOICES},
        forecasts=np.full(SCORES.shape, 0.5),
        resamples=100,
    )
    kept = [0, 1, 2, 4, 5, 6]
    same = evaluate(
        pool(SCORES[kept], [TASKS[row] for row in kept]), {"router": CHOICES[kept]}, resamples=100
    )
    assert found.rows == same.rows
    assert found.provenance.counts["left_out"] == 2
    assert found.calibration is not None
    assert found.calibration.count == 18
    with pytest.raises(ValueError, match="no prompt"):
        evaluate(pool(SCORES * np.nan, TASKS), {"router": CHOICES})


def test_the_task_table_is_learnt_on_validation() -> None:
    """Another set decides which expert a task gets, and the note says so."""
    upside_down = pool(SCORES[::-1], TASKS)
    found = report(validation=upside_down)
    table = found.row("task_table", "baseline")
    assert table.accuracy == 0
    assert "validation" in table.note
    assert "flatters" in report().row("task_table", "baseline").note
    assert found.provenance.counts["validation_prompts"] == 8


def test_a_task_that_validation_lacks_gets_the_best_expert_of_all() -> None:
    """The table has an answer for every task."""
    validation = pool(SCORES[4:], ["sql"] * 4)
    assert task_table(validation) == {"": 2, "sql": 2}
    assert report(validation=validation).row("task_table", "baseline").accuracy == 0.5
    with pytest.raises(ValueError, match="other experts"):
        report(validation=pool(SCORES, TASKS, ("a", "b", "c")))


def test_further_routers_are_further_rows() -> None:
    """Several routers are judged on the same prompts; only `router` is the headline."""
    outcomes = pool(SCORES, TASKS)
    choices = {"router": CHOICES, "always sql": np.full(8, 2)}
    found = evaluate(outcomes, choices, resamples=50)
    assert found.row("always sql", "router").accuracy == 0.5
    assert found.router.accuracy == 0.75


def test_experts_may_be_called_like_baselines() -> None:
    """Rows are told apart by kind, not by name alone."""
    outcomes = pool(SCORES, TASKS, ("router", "random", "oracle"))
    found = evaluate(outcomes, {"router": CHOICES}, resamples=50)
    assert found.router.accuracy == 0.75
    assert found.row("router", "expert").accuracy == 3 / 8
    assert found.best_single_expert == "oracle"


def test_calibration_covers_all_forecasts_and_the_chosen_ones() -> None:
    """Forecasts equal to the scores are perfect; unknown cells are left out."""
    forecasts = SCORES.copy()
    forecasts[:, 1] = np.nan
    found = report(forecasts=forecasts)
    assert found.calibration is not None
    assert found.chosen_calibration is not None
    assert (found.calibration.count, found.calibration.brier) == (16, 0)
    assert found.chosen_calibration.count == 7  # one prompt went to the unknown generalist
    assert report().calibration is None


def test_the_spread_shows_a_collapse() -> None:
    """Even use has log2(experts) bits; one expert for all has none, and is an alarm."""
    even = spread(("a", "b"), np.array([0, 1] * 5))
    assert (even.entropy_bits, even.most_entropy_bits, even.collapsed) == (1, 1, False)
    alone = spread(("a", "b"), np.array([1] * 10))
    assert (alone.top_expert, alone.top_share, alone.entropy_bits) == ("b", 1, 0)
    assert alone.collapsed
    assert not spread(("a",), np.zeros(3, dtype=np.int64)).collapsed


def test_overhead_and_chat_share_are_summarised() -> None:
    """Small numbers, hand-checked."""
    taken = overhead(np.array([1.0, 2.0, 3.0, 10.0]))
    assert (taken.mean_ms, taken.median_ms) == (4, 2.5)
    chat = chat_share(["general"] * 9 + ["sql"], "general", "AlpacaEval 2")
    assert (chat.share_to_generalist, chat.prompts, chat.source) == (0.9, 10, "AlpacaEval 2")
    assert chat.low < 0.9 <= chat.high


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "choices of 'router'"),
        ({"router": CHOICES[:3]}, "one expert for each prompt"),
        ({"router": CHOICES + 1}, "no outcomes"),
        ({"router": CHOICES - 1}, "no outcomes"),
    ],
)
def test_choices_must_fit_the_outcomes(choices: dict[str, Ints], message: str) -> None:
    """A choice for each prompt, of an expert that was measured."""
    with pytest.raises(ValueError, match=message):
        evaluate(pool(SCORES, TASKS), choices)


def test_forecasts_must_fit_the_outcomes() -> None:
    """A forecast for each prompt and expert."""
    with pytest.raises(ValueError, match="forecasts"):
        report(forecasts=np.ones((8, 2)))


def test_a_report_reads_back_the_same(tmp_path: Path) -> None:
    """JSON keeps everything, with and without the optional parts."""
    full = report(
        forecasts=np.full(SCORES.shape, 0.5),
        overhead_ms=np.ones(8),
        chat=chat_share(["general"], "general", "three prompts"),
    )
    nothing = replace(full, calibration=None, chat=None, generalist=None)
    for number, each in enumerate((full, nothing)):
        path = tmp_path / f"{number}.json"
        path.write_text(each.to_json())
        assert PoolReport.load(path) == each


def test_a_file_that_is_no_report_is_named(tmp_path: Path) -> None:
    """Absent and foreign files give our error."""
    with pytest.raises(SetupError, match="no report at"):
        PoolReport.load(tmp_path / "nothing.json")
    (tmp_path / "other.json").write_text('{"kind": "load"}')
    with pytest.raises(SetupError, match="is not a report of a pool"):
        PoolReport.load(tmp_path / "other.json")


def test_the_same_seed_gives_the_same_report() -> None:
    """Numbers can be made again; only the date differs."""
    first, second = report(seed=3), report(seed=3)
    assert replace(first, provenance=second.provenance) == second
    assert report(seed=4).intervals != first.intervals
