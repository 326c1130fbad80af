"""The whole evaluation on a small world whose right answers are known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.core.data import RoutingData
from collegium.evals.core.provenance import provenance
from collegium.evals.routing import text
from collegium.evals.routing.evaluate import Evaluated, evaluate, mean_differences
from collegium.evals.routing.lessons import Exam, Forecaster, Lesson, means
from collegium.evals.routing.problem import build
from collegium.evals.routing.routing_report import Contender, RoutingReport
from tests.evals.routing.worlds import MODELS, RATES, SKILLS, vectors, world

BASELINES = {
    "best_single", "best_single_in_hindsight", "random", "task_table", "prompt_length",
    "untuned_knn", "tuned_knn",
}  # fmt: skip


def knows_all(lesson: Lesson, exam: Exam) -> Floats:
    """Forecast the true rates: nothing that learns from prompts can do better."""
    skills = exam.X[:, : len(SKILLS)].argmax(axis=1)
    return np.array([RATES[SKILLS[skill]] for skill in skills])


def stubborn(lesson: Lesson, exam: Exam) -> Floats:
    """Send everything to the last model."""
    return np.tile([0.1, 0.1, 0.9], (len(exam.prompts), 1))


ROUTERS: dict[str, Forecaster] = {"knows_all": knows_all, "stubborn": stubborn}


def judge(data: RoutingData, train: int, **options: object) -> Evaluated:
    """Evaluate; the first `train` of the shuffled prompts are learnt from."""
    order = np.random.default_rng(7).permutation(len(data.prompts))
    training = np.isin(np.arange(len(order)), order[:train])
    problem = build(data, training, **options)  # type: ignore[arg-type]
    return evaluate(problem, vectors(data.prompts), ROUTERS, resamples=300)


@pytest.fixture(scope="module")
def found() -> Evaluated:
    """Return the evaluation of an ordinary split."""
    return judge(world(150), 300)


def row(found: Evaluated, name: str) -> Contender:
    """Return a contender by name; names are unique here."""
    return next(each for each in found.report.contenders if each.name == name)


def test_every_baseline_is_there(found: Evaluated) -> None:
    """Beside the routers and the oracle."""
    names = {(each.name, each.kind) for each in found.report.contenders}
    assert names == {
        *((name, "baseline") for name in BASELINES),
        *((name, "router") for name in ROUTERS),
        ("oracle", "oracle"),
    }


def test_accuracies_are_means_of_chosen_scores(found: Evaluated) -> None:
    """Reckoned again from the outcomes, micro and macro."""
    data = world(150)
    order = np.random.default_rng(7).permutation(450)
    judged = np.sort(order[300:])
    scores = data.scores[judged]
    tasks = np.array(data.labels["task"])[judged]
    chosen = np.select([tasks == "maths", tasks == "poems"], [0, 1], default=2)
    picked = scores[np.arange(150), chosen]
    right = row(found, "knows_all")
    assert right.accuracy.estimate == pytest.approx(picked.mean())
    macro = np.mean([picked[tasks == task].mean() for task in SKILLS])
    assert right.macro_accuracy.estimate == pytest.approx(macro)
    assert row(found, "oracle").accuracy.estimate == pytest.approx(scores.max(axis=1).mean())
    assert row(found, "random").accuracy.estimate == pytest.approx(scores.mean())
    best = scores.mean(axis=0).max()
    assert row(found, "best_single_in_hindsight").accuracy.estimate == pytest.approx(best)
    gap = 1 - picked.mean() / scores.max(axis=1).mean()
    assert right.gap_at_oracle == pytest.approx(gap)


def test_a_router_that_knows_beats_the_bars_that_do_not(found: Evaluated) -> None:
    """The task table knows as much here, so no difference to it is more than chance."""
    right = row(found, "knows_all")
    assert right.differences["best_single"].low > 0
    assert not right.differences["task_table"].excludes(0)
    assert right.macro_differences["best_single"].low > 0
    assert row(found, "stubborn").differences["tuned_knn"].high < 0
    assert right.calibration is not None
    assert right.calibration.ece < 0.06


def test_the_collapse_alarm_rings_for_the_stubborn(found: Evaluated) -> None:
    """All prompts go to one model: no entropy."""
    spread = row(found, "stubborn").spread
    assert spread is not None
    assert (spread.collapsed, spread.top_expert, spread.entropy_bits) == (True, "all-70b", 0)
    assert not row(found, "knows_all").collapsed


def test_costs_follow_choices(found: Evaluated) -> None:
    """The stubborn router pays the dearest model's price; AIQ rewards cheap experts."""
    report = found.report
    assert (report.strong, report.weak) == ("all-70b", "sums-7b")
    assert row(found, "stubborn").cost_usd == pytest.approx(report.model_costs["all-70b"])
    assert report.zero_router_aiq is not None
    aiq = row(found, "knows_all").aiq
    assert aiq is not None
    assert aiq.low > report.zero_router_aiq + 0.05


def test_who_chose_the_same_is_told(found: Evaluated) -> None:
    """The stubborn router takes the best single model everywhere, and says so in words."""
    assert "best_single" in row(found, "stubborn").same_choices
    assert "best_single" not in row(found, "knows_all").same_choices
    cells = next(cells for cells in text.differences(found.report) if cells[0] == "stubborn")
    assert cells[1] == "same choices"
    assert "the same choices as the best single model" in text.verdict(
        found.report, row(found, "stubborn")
    )


def test_models_of_one_price_have_no_trade_off() -> None:
    """AIQ, APGR and CPT say nothing there, and the notes say that."""
    data = replace(world(40), models=("a-7b", "b-7b", "c-8b"))
    found = judge(data, 80)
    assert row(found, "knows_all").aiq is None
    assert row(found, "knows_all").apgr is None
    assert any("cost about the same" in note for note in found.report.notes)


def test_missing_cells_are_never_chosen() -> None:
    """A router that wants an unmeasured model gets its next best one."""
    data = world(60)
    data.scores[::2, 2] = np.nan
    found = judge(data, 120)
    share = row(found, "stubborn").spread
    assert share is not None
    assert 0.3 < share.top_share < 0.7
    assert row(found, "random").accuracy.estimate > 0


def test_groups_have_their_own_macro_accuracy() -> None:
    """The mean over the group's tasks, as RouterDC's tables have it."""
    data = world(60)
    group = tuple("OOD" if task == "law" else "ID" for task in data.labels["task"])
    found = judge(replace(data, labels={**data.labels, "group": group}), 120)
    right = row(found, "knows_all")
    assert right.groups["OOD"].estimate == pytest.approx(right.per_task["law"])
    both = (right.per_task["maths"] + right.per_task["poems"]) / 2
    assert right.groups["ID"].estimate == pytest.approx(both)
    single = row(found, "best_single").groups["ID"].estimate
    gain = right.group_differences["ID"]["best_single"]
    assert gain.estimate == pytest.approx(both - single)
    assert gain.low > 0


def test_paraphrases_show_robustness() -> None:
    """A choice that follows the wording changes; the stubborn one never does."""
    data = world(40)
    prompts = list(data.prompts)
    of = [None] * 120
    original = data.prompt_ids[100]
    for index, skill in ((101, "law"), (102, "maths")):
        prompts[index], of[index] = f"{skill} otherwise", original  # type: ignore[call-overload]
    data = replace(data, prompts=tuple(prompts), labels={**data.labels, "paraphrase_of": tuple(of)})
    problem = build(data, np.arange(120) < 90)
    found = evaluate(problem, vectors(data.prompts), ROUTERS, resamples=50)
    right, same = row(found, "knows_all").robustness, row(found, "stubborn").robustness
    assert right is not None
    assert same is not None
    assert (right.paraphrases, right.same_choice, same.same_choice) == (2, 0.5, 1.0)


def test_a_task_that_is_left_out_is_news_to_the_table() -> None:
    """Every prompt is judged once, and the task table falls back on one model."""
    data = world(60)
    problem = build(data, None, left_out="task")
    found = evaluate(problem, vectors(data.prompts), ROUTERS, resamples=50)
    assert found.report.test_prompts == 180
    assert set(found.report.unseen_tasks) == set(SKILLS)
    table, single = row(found, "task_table"), row(found, "best_single")
    assert table.accuracy.estimate == pytest.approx(single.accuracy.estimate)


def test_one_model_is_a_dull_but_valid_pool() -> None:
    """Everybody chooses it."""
    data = replace(world(20), models=("only",), scores=world(20).scores[:, :1])
    problem = build(data, np.arange(60) < 40)
    routers: dict[str, Forecaster] = {"mean": lambda a, b: np.tile(means(a.y), (len(b.prompts), 1))}
    found = evaluate(problem, vectors(data.prompts), routers, resamples=50)
    assert {each.accuracy.estimate for each in found.report.contenders} == {
        found.report.contenders[0].accuracy.estimate
    }


def test_a_router_that_forecasts_nonsense_is_named() -> None:
    """NaN would silently be the worst choice."""
    problem = build(world(20), np.arange(60) < 40)
    broken: dict[str, Forecaster] = {"broken": lambda a, b: np.full((len(b.prompts), 3), np.nan)}
    with pytest.raises(SetupError, match="'broken' made no finite forecast"):
        evaluate(problem, vectors(problem.prompts), broken)


def test_means_over_sets_count_each_set_alike(found: Evaluated) -> None:
    """However many prompts it has."""
    other = judge(world(50, seed=3), 100)
    mean = next(m for m in mean_differences([found, other]) if m.router == "knows_all")
    both = [row(each, "knows_all").differences["best_single"] for each in (found, other)]
    assert mean.differences["best_single"].estimate == pytest.approx(
        (both[0].estimate + both[1].estimate) / 2
    )
    widths = [each.high - each.low for each in both]
    wide = mean.differences["best_single"].high - mean.differences["best_single"].low
    assert wide == pytest.approx(math.hypot(*widths) / 2, rel=0.25)
    assert mean_differences([found]) == ()


CONTENDER_KEYS = {
    "name", "kind", "note", "accuracy", "macro_accuracy", "groups", "per_task", "cost_usd", "apgr",
    "cpt50", "cpt80", "aiq", "gap_at_oracle", "calibration", "chosen_calibration", "spread",
    "robustness", "differences", "same_choices", "macro_differences", "group_differences",
    "curve", "seconds",
}  # fmt: skip
SET_KEYS = {
    "name", "models", "model_costs", "train_prompts", "test_prompts", "tasks", "unseen_tasks",
    "folds", "strong", "weak", "cost_source", "zero_router_aiq", "notes", "dropped_prompts",
    "contenders", "robustness",
}  # fmt: skip


def test_the_json_keeps_its_keys(found: Evaluated) -> None:
    """Machines read it: a key that goes or changes its name breaks them."""
    made = provenance("collegium eval routing world", 0, {"sets": 1})
    report = RoutingReport("skills", None, "knows_all", (found.report,), (), made)
    data = json.loads(report.to_json())
    assert set(data) == {
        "kind", "encoder", "left_out", "headline", "sets", "means", "provenance", "robustness"
    }  # fmt: skip
    assert data["kind"] == "routing"
    assert set(data["sets"][0]) == SET_KEYS
    assert set(data["sets"][0]["models"]) == set(MODELS)
    for each in data["sets"][0]["contenders"]:
        assert set(each) == CONTENDER_KEYS
        assert set(each["accuracy"]) == {"estimate", "low", "high"}
