"""`collegium eval routing` from its arguments to tables, JSON and page."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from collegium.cli import cli
from collegium.errors import SetupError
from collegium.evals.routing import encoders
from collegium.evals.routing.embeddings import EmbeddingCache
from collegium.evals.routing.problem import build, taught_by_fewer
from collegium.evals.routing.run import encoded
from tests.evals.routing.worlds import SkillEncoder, save, vectors, world

Command = Callable[..., Result]


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Return a data root with two sets."""
    root = tmp_path / "data"
    save(world(40), root / "first")
    save(replace(world(30, seed=1), labels={}), root / "second")
    return root


@pytest.fixture
def command(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return the command with an encoder that needs no weights, and a quick predictor."""
    monkeypatch.setitem(encoders.ENCODERS, "skills", SkillEncoder)
    monkeypatch.setenv("COLLEGIUM_DATA", str(sets))
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        words = ["eval", "routing", "--encoder", "skills", "--router", "linear", *arguments]
        return CliRunner().invoke(cli, words, catch_exceptions=False)

    return call


def test_it_prints_tables(command: Command) -> None:
    """Routers, baselines, differences and what a reader has to know."""
    shown = command("first").stdout
    for words in (
        "linear",
        "oracle",
        "task table",
        "tuned kNN",
        "less best single model",
        "costs:",
    ):
        assert words in shown
    assert "second" not in shown


def test_json_is_printed_or_written(command: Command, tmp_path: Path) -> None:
    """A dash prints it and nothing else; a file is written beside the tables."""
    printed = json.loads(command("first", "--json", "-").stdout)
    assert printed["kind"] == "routing"
    assert json.loads(command("first", "--json").stdout)["sets"][0]["name"] == "first"
    shown = command("first", "--json", "out.json", "--html", "out.html").stdout
    assert "oracle" in shown
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["sets"][0]["contenders"][1]["name"] == "linear"
    assert (tmp_path / "out.html").read_text().startswith("<!doctype html>")
    assert written["provenance"]["command"].startswith("collegium eval routing first --router")


def test_without_a_name_all_sets_are_judged(command: Command) -> None:
    """Even one whose prompts have no labels; means over sets come last."""
    report = json.loads(command("--json", "-").stdout)
    assert [each["name"] for each in report["sets"]] == ["first", "second"]
    assert report["sets"][1]["tasks"].keys() == {"unlabelled"}
    assert report["means"][0]["router"] == "linear"


def test_robustness_is_measured_of_the_served_router(command: Command) -> None:
    """In the tables and the JSON; not of others, nor where nobody asks for it."""
    served = ("--router", "beliefs", "--robustness", "20")
    shown = command(*served).stdout
    assert "disturbed (collegium/balanced, 20 prompts)" in shown
    assert "saving undisturbed %" in shown
    report = json.loads(command(*served, "--json", "-").stdout)
    assert report["robustness"]["sets"] == 2
    for each in report["sets"]:
        found = each["robustness"]
        assert found["undisturbed"]["same"]["estimate"] == 1
        assert {"same", "saving", "dearest", "accuracy", "kind"} == set(found["overall"])
    for arguments in (("--robustness", "20"), ("--router", "beliefs", "--robustness", "0")):
        report = json.loads(command("first", *arguments, "--json", "-").stdout)
        assert report["robustness"] is report["sets"][0]["robustness"] is None


def test_the_same_seed_gives_the_same_numbers(command: Command) -> None:
    """All but the clock."""

    def numbers(*arguments: str) -> object:
        found = json.loads(command("first", "--json", "-", *arguments).stdout)["sets"][0]
        return [{**row, "seconds": 0} for row in found["contenders"]]

    assert numbers("--seed", "3") == numbers("--seed", "3")
    assert numbers("--seed", "3") != numbers("--seed", "4")


def test_training_and_test_folders(command: Command, sets: Path) -> None:
    """All of one teaches, all of the other judges; and both are needed."""
    both = ("--train", str(sets / "first"), "--test", str(sets / "second"))
    found = json.loads(command(*both, "--json", "-").stdout)["sets"][0]
    assert (found["train_prompts"], found["test_prompts"]) == (120, 90)
    with pytest.raises(SetupError, match="belong together"):
        command(*both[:2])
    with pytest.raises(SetupError, match="not both"):
        command("first", *both)


def test_prompts_of_both_folders_are_not_judged(command: Command, sets: Path) -> None:
    """Nor are they encoded a second time; it is said on stderr, in the JSON and below the table."""
    other = world(30, seed=1)
    prompts = (*world(40).prompts[:2], *other.prompts[2:])
    save(replace(other, prompts=prompts), sets / "third")
    found = command("--train", "first", "--test", "third", "--json", "-")
    judged = json.loads(found.stdout)["sets"][0]
    assert (judged["test_prompts"], judged["dropped_prompts"]) == (88, 2)
    assert "Warning: 2 prompts of 'first → third' are not judged" in found.stderr


def test_a_task_is_left_out(command: Command) -> None:
    """Every prompt is judged, by routers that never saw its task."""
    found = json.loads(command("first", "--leave-out", "task", "--json", "-").stdout)["sets"][0]
    assert (found["folds"], found["test_prompts"]) == (3, 120)


def test_fewer_labels_can_be_asked_for(command: Command) -> None:
    """How good is a router after so many labels?"""
    found = json.loads(command("first", "--train-size", "30", "--json", "-").stdout)["sets"][0]
    assert found["train_prompts"] == 30


def test_only_what_is_used_is_encoded(tmp_path: Path) -> None:
    """Not the training prompts that nobody learns from; their rows stay empty."""
    problem, encoder = build(world(40), np.arange(120) < 90), SkillEncoder()
    X = encoded(taught_by_fewer(problem, 20), encoder, EmbeddingCache(tmp_path))
    assert len(encoder.texts) == 50
    assert (np.abs(X).sum(axis=1) > 0).sum() == 50
    np.testing.assert_allclose(X[100], vectors(problem.prompts)[100], atol=1e-6)


def test_a_pool_is_a_list_of_models(command: Command) -> None:
    """Blanks around names do no harm."""
    found = json.loads(command("first", "--pool", "sums-7b, all-70b", "--json", "-").stdout)
    assert list(found["sets"][0]["models"]) == ["sums-7b", "all-70b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "no data set 'nowhere'"),
        (("first", "--router", "crystal-ball"), "unknown router crystal-ball"),
        (("first", "--encoder", "crystal-ball"), "there is no encoder 'crystal-ball'"),
        (("first", "--leave-out", "domain"), "no label to leave a domain out by"),
        (("first", "--pool", "gpt"), "no outcomes of gpt"),
    ],
)
def test_what_is_wrong_is_said(command: Command, arguments: tuple[str, ...], message: str) -> None:
    """One line, with what there is."""
    with pytest.raises(SetupError, match=message):
        command(*arguments)


def test_a_set_after_json_is_not_overwritten(command: Command, tmp_path: Path) -> None:
    """`--json first` would take the set's name for a file."""
    refused = command("--json", "first")
    assert refused.exit_code == 2
    assert "is a data set" in refused.output
    assert not (tmp_path / "first").exists()


def test_an_unknown_peer_is_refused_before_anything_is_judged(command: Command) -> None:
    """The message names those that there are."""
    with pytest.raises(SetupError, match="unknown peer 'nope'; available: llmrouter-lib"):
        command("first", "--peer", "nope")


def test_models_that_are_left_out_join_again(command: Command) -> None:
    """From 50 probes each, as `eval newcomers` has it; options of other questions are refused."""

    def left_out(*arguments: str) -> Result:
        words = ["eval", "routing", "first", "--leave-out", "model", "--encoder", "skills"]
        return CliRunner().invoke(cli, [*words, *arguments], catch_exceptions=False)

    rows = json.loads(left_out("--json", "-").stdout)
    assert {row["probes"] for row in rows} == {50}
    assert rows[0]["models"] == 3
    refused = left_out("--pool", "sums-7b")
    assert refused.exit_code == 2
    assert "no --pool" in refused.output
    refused = command("first", "--leave-out", "model")
    assert "no --router" in refused.output
