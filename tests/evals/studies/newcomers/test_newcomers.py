"""`eval newcomers`: the judge of few probes, on worlds whose truth is known."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from collegium.cli import cli
from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.core.data import RoutingData
from collegium.evals.routing import encoders
from collegium.evals.routing.problem import Problem, build
from collegium.evals.routing.recorded import crossfit
from collegium.evals.studies.newcomers.recovery import Joined, Recovery, over_sets
from collegium.evals.studies.newcomers.study import recover
from collegium.router.beliefs.beliefs import Beliefs
from tests.evals.routing.worlds import SkillEncoder, save, world

Command = Callable[..., Result]


def recorded(n: int = 900, *, experts: int = 6, seed: int = 0) -> tuple[Problem, Floats]:
    """Three skills, two specialists of each; the first of them is the better one."""
    rng = np.random.default_rng(seed)
    skill = rng.integers(3, size=n)
    X = np.eye(3, 8)[skill] + 0.1 * rng.normal(size=(n, 8))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    able = np.arange(experts) % 3 == skill[:, None]
    rates = np.where(able, 0.9 - 0.15 * (np.arange(experts) >= 3), 0.3)
    data = RoutingData(
        name="made",
        prompt_ids=tuple(map(str, range(n))),
        prompts=tuple(f"question {i}" for i in range(n)),
        labels={"task": tuple(f"skill {kind}" for kind in skill)},
        models=tuple(f"model {i}" for i in range(experts)),
        scores=(rng.random(n)[:, None] < rates).astype(np.float64),
    )
    return build(data, np.arange(n) < 2 * n // 3), X


def row(found: list[Joined], pools: str, method: str, probes: int) -> Recovery:
    """The one row of the report with these names."""
    (one,) = [
        each.recovery()
        for each in found
        if (each.pools, each.method, each.probes) == (pools, method, probes)
    ]
    return one


def test_specialists_are_worth_most_of_their_value_after_fifty_marks() -> None:
    """And after all training prompts as probes, all of it."""
    found = recover(*recorded(360), SkillEncoder(), probes=(50, 500))
    few, many = row(found, "random", "beliefs", 50), row(found, "random", "beliefs", 500)
    assert few.counted == few.models == 6
    assert few.median is not None
    assert few.median > 0.6
    assert many.median == 1.0
    assert few.low is not None
    assert few.high is not None
    assert few.low <= few.median <= few.high


def test_the_value_is_what_routing_gains() -> None:
    """In the whole pool: accuracy with the model less accuracy without, counted by hand."""
    problem, X = recorded(180, experts=4)
    found = recover(problem, X, SkillEncoder(), probes=(20,))
    (fold,) = problem.folds
    scores = problem.scores[fold.test]

    def accuracy(columns: list[int]) -> float:
        beliefs = Beliefs().fit(
            X[fold.train],
            problem.scores[fold.train][:, columns],
            labels=[problem.tasks[row] for row in fold.train],
            groups=[str(problem.families[row]) for row in fold.train],
        )
        chosen = beliefs.forecast(X[fold.test]).quality.argmax(axis=1)
        return float(scores[:, columns][np.arange(len(scores)), chosen].mean())

    everybody = accuracy([0, 1, 2, 3])
    by_hand = [everybody - accuracy([m for m in range(4) if m != model]) for model in range(4)]
    (whole,) = [each for each in found if (each.pools, each.method) == ("whole", "beliefs")]
    np.testing.assert_allclose(whole.full_value, by_hand, atol=1e-12)


def joined(value: list[float], full: list[float]) -> Joined:
    """A result without doubt: every resample is the same."""
    means, wholes = np.array(value), np.array(full)
    return Joined(
        "x",
        "random",
        "beliefs",
        50,
        means,
        wholes,
        np.tile(means, (9, 1)),
        np.tile(wholes, (9, 1)),
    )


def test_models_without_value_are_left_out_of_the_median_and_their_harm_is_told() -> None:
    """0.4 points are no value; joining at a loss of a point is a harm of 0.5 on the mean of two."""
    found = joined([0.03, -0.01], [0.04, 0.004]).recovery()
    assert (found.counted, found.models) == (1, 2)
    assert found.median == pytest.approx(0.75)
    assert found.harm == pytest.approx(0.005)


def test_where_no_model_has_value_there_is_no_ratio() -> None:
    """Not even infinity."""
    found = joined([0.01], [0.0]).recovery()
    assert (found.median, found.low, found.high) == (None, None, None)


def test_all_sets_together_are_the_median_over_their_models() -> None:
    """0.5 and 0.75 of one set, 1.0 of another: 0.75."""
    tables = [[joined([0.02, 0.03], [0.04, 0.04])], [joined([0.04], [0.04])]]
    (found,) = over_sets(tables)
    assert (found.data, found.models) == ("all sets", 3)
    assert found.median == pytest.approx(0.75)
    assert over_sets(tables[:1]) == []


def test_forecasts_are_made_by_fits_that_did_not_see_the_row() -> None:
    """A predictor that remembers gets no training row right."""

    class Parrot:
        def fit(self, X: np.ndarray, y: np.ndarray) -> "Parrot":
            self.seen = {row.tobytes() for row in X}
            return self

        def predict(self, X: np.ndarray) -> np.ndarray:
            return np.array([[float(row.tobytes() in self.seen)] for row in X])

    X = np.random.default_rng(0).normal(size=(40, 3))
    assert crossfit(Parrot, X, np.zeros((40, 1)), np.arange(30)).sum() == 0


# --- the command ---


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return the command with one set and an encoder that needs no weights."""
    save(world(60), tmp_path / "data" / "first")
    monkeypatch.setitem(encoders.ENCODERS, "skills", SkillEncoder)
    monkeypatch.setenv("COLLEGIUM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments: str) -> Result:
        words = ["eval", "newcomers", *arguments, "--encoder", "skills", "--draws", "1"]
        return CliRunner().invoke(cli, words, catch_exceptions=False)

    return call


def test_json_has_a_row_for_each_view_method_and_number(command: Command) -> None:
    """Three views, two methods, two numbers of probes."""
    rows = json.loads(command("first", "--probes", "10", "--probes", "20", "--json").stdout)
    assert len(rows) == 12
    assert {each["probes"] for each in rows} == {10, 20}
    assert {each["data"] for each in rows} == {"first"}


def test_one_set_teaches_and_another_judges(command: Command, tmp_path: Path) -> None:
    """Sets by name or by folder; a prompt of both does not judge."""
    other = world(40, seed=1)
    other = replace(other, prompts=(world(60).prompts[0], *other.prompts[1:]))
    folder = save(other, tmp_path / "second")
    found = command("--train", "first", "--test", str(folder), "--probes", "10", "--json")
    assert "1 prompts of 'first → second' are not judged" in found.stderr
    rows = json.loads(found.stdout)
    assert {(each["data"], each["dropped_prompts"]) for each in rows} == {("first → second", 1)}
    assert command("--probes", "10").exit_code == 2


def test_it_prints_a_table(command: Command) -> None:
    """One line a row below the head."""
    lines = command("first", "--probes", "20").stdout.splitlines()
    assert lines[0].split()[:3] == ["SET", "POOLS", "METHOD"]
    assert len(lines) == 7


def test_one_model_has_nobody_to_join(command: Command, tmp_path: Path) -> None:
    """A clear error, not one of the arithmetic."""
    alone = replace(world(40), models=world(40).models[:1], scores=world(40).scores[:, :1])
    with pytest.raises(SetupError, match="has one model"):
        command(str(save(alone, tmp_path / "alone")), "--probes", "10")
