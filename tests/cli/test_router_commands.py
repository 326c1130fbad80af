"""`collegium router train|eval|explain` without an engine: on a recorded set, and on a registry."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from collegium.cli.router_command import command
from collegium.errors import SetupError, UnknownDecision
from collegium.registry.application import Application
from collegium.registry.applications import ApplicationRegistry
from collegium.registry.decisions.log import DecisionLog
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from collegium.settings import load_settings
from tests.evals.training.test_learning import logged, write_set


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of its own, a free port, and the encoder that needs no second to load."""
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLLEGIUM_ENCODER", "static")
    monkeypatch.setenv("COLLEGIUM_PORT", "1")
    return tmp_path


def run(*arguments: str) -> str:
    """What the command printed; our own errors are raised."""
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set, a router that was trained on its training part, and what was told."""
    folder = tmp_path_factory.mktemp("learnt")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COLLEGIUM_DATA_DIR", str(folder / "data"))
        environment.setenv("COLLEGIUM_CACHE_DIR", str(folder / "cache"))
        environment.setenv("COLLEGIUM_ENCODER", "static")
        data = write_set(folder / "set", each=100)
        told = run("train", str(data), "--out", str(folder / "router"), "--json")
    (folder / "told.json").write_text(told)
    return folder


def in_registry(*, decisions: int = 0, verdict: bool = False) -> None:
    """Register the set's models as experts, and record what one of them answered."""

    async def write() -> None:
        database = Database(load_settings().registry_url)
        await database.migrate()
        for name in ("lister", "poet"):
            expert = Expert(name, "openai", name, base_url="http://127.0.0.1:9/v1", output_price=2)
            await ExpertRegistry(database).register(expert)
        log = DecisionLog(database)
        for number in range(decisions):
            entry = logged(number, verdicts=["good_fit"] if verdict else [])
            await log.record(entry.decision)
            assert entry.outcome is not None
            await log.finish(entry.outcome)
            for each in entry.feedback:
                await log.feedback(each)
        await database.close()

    asyncio.run(write())


def test_a_set_trains_a_router_that_is_judged_on_its_other_prompts(learnt: Path) -> None:
    """From a folder to a saved router to a table, with the prompts it learnt from left out."""
    assert json.loads((learnt / "told.json").read_text())["prompts"] == 150
    arguments = ("eval", str(learnt / "set"), "--router-dir", str(learnt / "router"), "--json")
    report = json.loads(run(*arguments))
    (found,) = report["sets"]
    rows = {row["name"]: row for row in found["contenders"]}
    assert found["test_prompts"] == 50
    assert rows["saved router"]["accuracy"]["estimate"] == 1.0
    assert rows["best_single"]["accuracy"]["estimate"] == 0.5


def test_a_router_is_not_judged_on_what_it_learnt_from(home: Path) -> None:
    """One that saw everything is refused, with what to do."""
    folder, out = write_set(home / "set"), home / "router"
    run("train", str(folder), "--all", "--out", str(out))
    with pytest.raises(SetupError, match=r"fitted on every prompt .* without --all"):
        run("eval", str(folder), "--router-dir", str(out))


def test_a_whole_set_judges_a_router_that_never_saw_it(learnt: Path, home: Path) -> None:
    """No part is taken away; prompts that it knows are dropped, and told."""
    other = write_set(home / "other", each=125)
    arguments = ("--router-dir", str(learnt / "router"), "--map", "poet=poet", "--json")
    report = json.loads(run("eval", "--test", str(other), *arguments))
    (found,) = report["sets"]
    assert (found["test_prompts"], found["dropped_prompts"], found["folds"]) == (100, 150, 5)
    assert report["unmatched"] == ["lister"]
    same = json.loads(run("eval", str(other), "--all", *arguments))
    assert same["sets"][0]["test_prompts"] == 100
    taught = ("--train", str(learnt / "set"), "--test", str(other))
    two = json.loads(run("eval", *taught, *arguments))["sets"][0]
    assert (two["train_prompts"], two["test_prompts"], two["dropped_prompts"]) == (200, 50, 200)


def test_outcomes_without_tasks_and_with_makers_names_train_a_router(home: Path) -> None:
    """What a model scored belongs to the expert that serves it, or that --map names."""
    folder = home / "set"
    folder.mkdir()
    prompts = [{"prompt_id": i, "prompt": f"question {i}"} for i in range(60)]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, prompts)))
    rows = [f"{i},{int(i % 3 > 0)},{i % 2}" for i in range(60)]
    (folder / "scores.csv").write_text("\n".join(["prompt_id,org/Lister,org/other", *rows]))
    in_registry()
    told = json.loads(
        run("train", str(folder), "--out", str(home / "r"), "--map", "org/other=poet", "--json")
    )
    assert told["unmatched"] == []
    card = json.loads((home / "r" / "card.json").read_text())
    assert card["fingerprints"] == ["named:lister", "named:poet"]


def test_two_sets_calibrate_and_judge(home: Path) -> None:
    """Nothing that calibrated judges; list prices are known without an option."""
    first, second = write_set(home / "a", each=200), write_set(home / "b", each=260)
    prices = {name: {"input_price": 1, "output_price": 9} for name in ("lister", "poet")}
    (first / "model_prices.json").write_text(json.dumps(prices))
    told = json.loads(run("calibrate", "--train", str(first), "--test", str(second), "--json"))
    assert (told["queries"], told["held_out_queries"], told["dropped_prompts"]) == (200, 120, 400)


def test_the_bundled_router_knows_no_model_of_a_set(home: Path) -> None:
    """It says so, and how to make one that does."""
    with pytest.raises(SetupError, match="was not fitted on any model of 'set'"):
        run("eval", str(write_set(home / "set")))


def test_a_saved_router_is_calibrated_on_a_set(home: Path) -> None:
    """On prompts that it did not learn from; the card then holds what the service reads."""
    folder, out = write_set(home / "set", each=400), home / "router"
    run("train", str(folder), "--out", str(out))
    prices = ("--price", "lister=1", "--price", "poet=10")
    arguments = ("calibrate", str(folder), "--router-dir", str(out), *prices)
    target = ("--target", "share=0.4", "--out", str(home / "calibrated"))
    told = json.loads(run(*arguments, *target, "--json"))
    assert told["queries"] + told["held_out_queries"] == 200
    card = json.loads((home / "calibrated" / "card.json").read_text())
    assert card["tradeoff"] == told["tradeoff"]


def test_a_sets_models_are_the_experts_of_that_name(
    learnt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered by the same name, an expert is routed to by what its model scored."""
    in_registry()
    monkeypatch.setenv("COLLEGIUM_ROUTER_DIR", str(learnt / "router"))
    decided = json.loads(run("explain", "poems about the number 7, please", "--json"))
    assert decided["expert"] == "poet"
    assert decided["confidence"] > 0.8
    assert "poet is" in run("explain", "poems about the number 7, please")


def test_a_query_is_explained_for_its_application(
    home: Path, learnt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its tag, whose policy holds, or by its system prompt."""
    in_registry()
    monkeypatch.setenv("COLLEGIUM_ROUTER_DIR", str(learnt / "router"))
    asyncio.run(_deny("desk", "poet"))
    query = "poems about the number 7, please"
    told = json.loads(run("explain", query, "--application", "desk", "--json"))
    assert (told["application"], told["expert"]) == ("desk", "lister")
    (home / "system.txt").write_text("You are the order desk of Contoso.")
    by_prompt = run("explain", query, "--system", str(home / "system.txt"))
    assert "Application app-" in by_prompt
    assert "Application unknown" in run("explain", query)


async def _deny(application: str, expert: str) -> None:
    database = Database(load_settings().registry_url)
    registry = ApplicationRegistry(database)
    await registry.keep([Application(application, tagged=True, seen=1)])
    await registry.change(application, policy={"experts_deny": [expert]})
    await database.close()


def test_recorded_decisions_train_and_judge_a_router(home: Path, learnt: Path) -> None:
    """Rated ones, together with a set; what an answer was worth is told by expert."""
    in_registry(decisions=30, verdict=True)
    environment = {"COLLEGIUM_ROUTER_DIR": str(learnt / "router")}
    arguments = ["train", str(learnt / "set"), "--recorded", "--out", str(home / "new"), "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, env=environment)
    assert json.loads(result.stdout)["prompts"] == 180
    report = json.loads(run("eval", "--json"))
    assert (report["decisions"], report["rated"]) == (30, 30)
    assert "poet" in run("eval")


def test_a_recorded_decision_is_explained(home: Path) -> None:
    """What was asked, forecast and measured; an unknown one is told."""
    in_registry(decisions=1, verdict=True)
    told = run("explain", "--decision", "dec_0")
    assert "poems about 0" in told
    assert "It took 1000 ms, 100 tokens, $0.001000." in told
    assert "Rated good_fit" in told
    with pytest.raises(UnknownDecision, match="dec_9"):
        run("explain", "--decision", "dec_9")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["explain"], "give a PROMPT"),
        (["explain", "hello", "--decision", "dec_0"], "give a PROMPT"),
        (["train", "--all", "--out", "there"], "--all and --map are for data sets"),
        (["eval", "--all"], "--all and --map are for data sets"),
        (["eval", "--train", "a"], "--train needs --test"),
        (["eval", "a", "--test", "b"], "not both"),
        (["calibrate", "a", "--train", "b", "--test", "c"], "not both"),
        (["calibrate", "--train", "b"], "belong together"),
        (["calibrate", "a", "--map", "b=c"], "add --router-dir"),
        (["train", "a", "--out", "there", "--map", "b"], "expected MODEL=EXPERT"),
        (["train", "a", "--out", "there", "--map", "@nothing"], "not readable"),
    ],
)
def test_wrong_arguments_are_told(arguments: list[str], told: str) -> None:
    """Status 2, and what would be right."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert told in result.output


def test_an_empty_registry_explains_nothing() -> None:
    """It says where experts come from."""
    with pytest.raises(SetupError, match="collegium serve"):
        run("explain", "hello")
