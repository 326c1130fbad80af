"""Playing a world: rows with all that is promised, day one, newcomers and unseen families."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from collegium.evals.core.arrays import Floats
from collegium.evals.studies.adoption.draws import Marking, forecasts
from collegium.evals.studies.adoption.further import newcomer_rows, unseen_rows
from collegium.evals.studies.adoption.playing import Adopted, measured, query
from collegium.evals.studies.adoption.rows import Row, play
from collegium.evals.studies.adoption.worlds import EXPERTS, World, disturbed, world
from collegium.router.priors import cheapest, day_one_rank
from tests.evals.studies.adoption.sets import WordEncoder, sets

KEYS = {
    *("world", "replays", "labels", "applications", "policy", "accuracy", "usd_per_1k"),
    *("best_single_accuracy", "best_single_usd_per_1k", "saved", "saved_interval"),
    *("table_saved", "violations"),
}
BUNDLED_DIMENSIONS = 384


@pytest.fixture(scope="module")
def pure() -> World:
    """A world of both sets, whose first expert is the best or nearly so."""
    return world(sets())


@pytest.fixture(scope="module")
def X(pure: World) -> Floats:
    """The embeddings of its prompts."""
    return WordEncoder().encode(pure.prompts).astype(float)


@pytest.fixture(scope="module")
def rows(pure: World, X: Floats) -> list[Row]:
    """Two draws of 60 replays."""
    return list(play(pure, X, WordEncoder(), 60, draws=2))


def by_policy(rows: list[Row]) -> dict[str, Row]:
    """Rows by policy; there is one each."""
    return {row.policy: row for row in rows}


def test_rows_have_all_keys(rows: list[Row]) -> None:
    """Each of them, in plain JSON."""
    for row in rows:
        found = row.as_json()
        assert found.keys() >= KEYS
        assert json.loads(json.dumps(found))["world"] == "pure"
        assert (found["replays"], found["labels"], found["applications"]) == (60, "reference", True)
        assert found["draws"] == 2
    assert [row.policy for row in rows] == [
        "curve",
        "auto",
        "balanced",
        "cheap",
        "application_table",
    ]


def test_all_rows_have_the_same_bar(pure: World, rows: list[Row]) -> None:
    """The best single expert of the judging prompts, known afterwards."""
    scores = pure.scores[pure.judges].mean(axis=0)
    usd = pure.usd[pure.judges, scores.argmax()].mean()
    for row in rows:
        assert row.best_single_accuracy == pytest.approx(scores.max())
        assert row.best_single_usd_per_1k == pytest.approx(1000 * usd)
        assert row.table_saved == rows[0].table_saved


def test_policies_are_worth_what_their_decisions_are(pure: World, X: Floats) -> None:
    """Accuracy, money, savings and losses by application of one draw, counted from decisions."""
    row = by_policy(list(play(pure, X, WordEncoder(), 60, draws=1)))["balanced"]
    marked = np.random.default_rng(60).permutation(pure.train)[:60]
    adopted = Adopted.on(pure, marked, WordEncoder())
    readings = adopted.readings(X[pure.judges], pure.judges)
    decisions = adopted.decisions(readings, pure.judges, "collegium/balanced")
    names = list(EXPERTS)
    chosen = [names.index(decision.expert) for decision in decisions]
    scores, usd = pure.scores[pure.judges, chosen], pure.usd[pure.judges, chosen]
    assert row.accuracy == pytest.approx(scores.mean())
    assert row.usd_per_1k == pytest.approx(1000 * usd.mean())
    assert row.saved == pytest.approx(1 - 1000 * usd.mean() / row.best_single_usd_per_1k)
    assert row.violations == float(scores.mean() < row.best_single_accuracy - 0.015)
    losses = row.further["application_losses"]
    asking = Counter(pure.applications[i] for i in pure.judges)
    assert losses.keys() == asking.keys()
    overall = sum(losses[str(name)] * count for name, count in asking.items()) / len(pure.judges)
    assert overall == pytest.approx(100 * (row.best_single_accuracy - row.accuracy), abs=1e-3)


def test_the_curve_row_is_the_cheapest_point_above_the_floor(pure: World, X: Floats) -> None:
    """Of the mean curve that is beside it, which begins with the best forecasts."""
    row = next(play(pure, X, WordEncoder(), 110, draws=2, seed=2))
    curve, floor = row.further["curve"], row.best_single_accuracy - 0.01
    points = zip(curve["usd_per_1k"], curve["accuracy"], strict=True)
    able = [usd for usd, accuracy in points if accuracy >= floor]
    assert able
    assert row.usd_per_1k == pytest.approx(min(able), abs=1e-4)
    assert row.saved == pytest.approx(1 - min(able) / row.best_single_usd_per_1k, abs=1e-3)
    assert row.saved_interval[0] <= row.saved_interval[1]
    assert row.further["accuracy_at_0"] == pytest.approx(curve["accuracy"][0], abs=1e-4)
    assert row.further["reference"]["best_single"]["accuracy"] == row.best_single_accuracy


def test_nothing_is_saved_below_the_floor(rows: list[Row]) -> None:
    """Where no trade-off is accurate enough, the row is that of the best forecasts."""
    row = rows[0]
    assert max(row.further["curve"]["accuracy"]) < row.best_single_accuracy - 0.01
    assert row.saved == 0
    assert row.accuracy == row.further["accuracy_at_0"]


def test_calibration_is_of_all_forecasts(rows: list[Row]) -> None:
    """Ten bins whose mean distance is at most the mean ECE; outcomes average to the truth."""
    pairs = np.array(rows[0].further["calibration"])
    assert pairs.shape == (10, 2)
    assert np.all(np.diff(pairs[:, 0]) >= 0)
    assert np.abs(pairs[:, 0] - pairs[:, 1]).mean() <= rows[0].further["ece"] + 1e-3
    assert pairs[:, 1].mean() == pytest.approx(
        rows[0].further["reference"]["random"]["accuracy"], abs=0.005
    )


def test_the_same_seed_gives_the_same_rows(pure: World, X: Floats, rows: list[Row]) -> None:
    """All numbers of them."""
    again = list(play(pure, X, WordEncoder(), 60, draws=2))
    assert repr(again) == repr(rows)


def test_tables_are_those_that_may_be_known(pure: World, X: Floats) -> None:
    """By application where it is visible, by true task where that is something else."""

    def tables(told: World) -> list[str]:
        return [row.policy for row in play(told, X, WordEncoder(), 60, draws=1)][4:]

    assert tables(pure) == ["application_table"]
    assert tables(disturbed(pure)) == ["application_table", "task_table"]
    assert tables(pure.without_applications()) == ["task_table"]


def test_marks_that_err_teach_and_the_truth_judges(pure: World, X: Floats, rows: list[Row]) -> None:
    """The bar is that of right marks, and so is the number of replays."""
    errant = list(play(pure, X, WordEncoder(), 60, marking=Marking("biased_judge"), draws=1))
    assert {row.labels for row in errant} == {"biased_judge"}
    assert errant[0].best_single_accuracy == rows[0].best_single_accuracy
    assert errant[0].further["reference"] == rows[0].further["reference"]


def test_all_training_prompts_are_one_draw(pure: World, X: Floats) -> None:
    """There is no other choice of them, and no more than all."""
    row = next(play(pure, X, WordEncoder(), 5_000, draws=3))
    assert (row.replays, row.draws) == (len(pure.train), 1)


def test_what_is_learnt_from_is_not_told_the_task(pure: World) -> None:
    """Prompts, marks, tokens and the application's tag."""
    told = measured(pure, pure.train[:5], pure.scores[pure.train[:5]])
    assert set(told.skills) == {""}
    assert told.signals is not None
    assert [s.tag for s in told.signals] == [pure.applications[row] for row in pure.train[:5]]
    np.testing.assert_array_equal(told.tokens, pure.output_tokens[pure.train[:5]])


def test_forecasts_are_in_the_worlds_order(pure: World, X: Floats) -> None:
    """Whatever order a decision has them in."""
    adopted = Adopted.on(pure, pure.train[:60], WordEncoder())
    judges = pure.judges[:3]
    decisions = adopted.decisions(adopted.readings(X[judges], judges), judges, "auto")
    quality, cost = forecasts(adopted, decisions)
    first = {forecast.expert: forecast for forecast in decisions[0].forecasts}
    assert quality[0].tolist() == [first[name].quality for name in EXPERTS]
    assert cost[0].tolist() == [first[name].cost_usd for name in EXPERTS]
    assert query(pure, int(judges[0]), "auto").application == pure.applications[judges[0]]


def test_on_day_one_the_best_prior_answers(pure: World) -> None:
    """`auto` asks the best known expert, `collegium/cheap` the cheapest one; nothing is traded."""
    X = np.random.default_rng(0).normal(size=(len(pure.prompts), BUNDLED_DIMENSIONS + 32))
    found = by_policy(list(play(pure, X, WordEncoder(), 0, draws=3)))
    names = list(EXPERTS)
    scores = pure.scores[pure.judges].mean(axis=0)
    best = names.index(day_one_rank(pure.experts)[0].name)
    least = names.index(cheapest(pure.experts)[0].name)
    assert found["auto"].accuracy == pytest.approx(scores[best])
    assert found["cheap"].accuracy == pytest.approx(scores[least])
    assert found.keys() == {"curve", "auto", "balanced", "cheap"}
    assert len(set(found["curve"].further["curve"]["accuracy"])) == 1
    assert found["curve"].further["calibration"] == []
    assert found["auto"].draws == 1


def test_each_family_is_left_out(pure: World, X: Floats) -> None:
    """As new applications and as anonymous traffic, judged on all of it."""
    found = list(unseen_rows(pure, X, WordEncoder(), 60, seed=0, tell=lambda words: None))
    assert [(row.world, row.applications) for row in found] == [
        ("unseen office", True),
        ("unseen office", False),
        ("unseen school", True),
        ("unseen school", False),
    ]
    for row in found:
        assert 0 <= row.further["coverage_90"] <= 1
        assert row.as_json().keys() >= KEYS


def test_each_expert_is_a_newcomer_once(pure: World, X: Floats) -> None:
    """What all its marks, fifty and none gain against the others alone."""
    few = replace(pure, experts=pure.experts[:3], scores=pure.scores[:, :3],
                  output_tokens=pure.output_tokens[:, :3])  # fmt: skip
    found = list(newcomer_rows(few, X, WordEncoder(), 60, seed=0, tell=lambda words: None))
    assert [row.world for row in found] == [f"newcomer {name}" for name in list(EXPERTS)[:3]]
    for row in found:
        gain = 100 * (row.accuracy - row.best_single_accuracy)
        assert row.further["gain"] == pytest.approx(gain)
        assert row.further["marks_of_newcomer"] == 50
        assert row.as_json().keys() >= KEYS
