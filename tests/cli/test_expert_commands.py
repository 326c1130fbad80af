"""`collegium expert …`: what the commands send, and what they do to a registry."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collegium.cli import expert_add, registering
from collegium.cli.expert_abilities import told_abilities
from collegium.cli.expert_command import command
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from collegium.settings import load_settings

QWEN = Expert("qwen", "openai", "qwen", base_url="http://127.0.0.1:9/v1")
THINK = Expert("think", "openai", "qwen", preset={"base": "qwen", "body": {"temperature": 0}})


def run(*words: str) -> Result:
    """Run `collegium expert …`."""
    return CliRunner().invoke(command, words)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies that `add` would send."""
    bodies: list[dict[str, Any]] = []

    async def keep(body: dict[str, Any]) -> dict[str, Any]:
        bodies.append(body)
        report = {"note": "answered its probe", "latency_ms": 5.0, "answer": "Hello."}
        source = "LiteLLM's price list, as gpt-4o-mini"
        expert = {"model": "qwen", "input_price": None, "output_price": 0.6}
        return {"expert": expert, "probe": {**report, "looked_up": {"output_price": source}}}

    monkeypatch.setattr(registering, "register", keep)
    return bodies


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry with an expert and its preset, and no service."""
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLLEGIUM_PORT", "9")

    async def register() -> None:
        database = Database(load_settings().registry_url)
        await database.migrate()
        for expert in (QWEN, THINK):
            await ExpertRegistry(database).register(expert)
        await database.close()

    asyncio.run(register())


def test_what_is_not_given_is_not_sent(sent: list[dict[str, Any]]) -> None:
    """So that it is looked up, and else unknown; the reply tells which."""
    done = run("add", "gpt", "--litellm", "openai/gpt-4o-mini", "--tag", "eu", "--parameters", "8")
    assert done.exit_code == 0, done.output
    (body,) = sent
    assert (body["tags"], body["parameters_b"]) == (("eu",), 8.0)
    assert not {"input_price", "output_price", "context_window", "prior"} & body.keys()
    assert "output_price: 0.6 (LiteLLM's price list, as gpt-4o-mini)" in done.output
    assert "Its price is unknown" in done.output


def test_a_preset_is_sent_with_what_it_sets(sent: list[dict[str, Any]], tmp_path: Path) -> None:
    """As JSON, or from a file."""
    settings = {"reasoning_effort": "high"}
    (tmp_path / "think.json").write_text(json.dumps(settings))
    for text in (json.dumps(settings), f"@{tmp_path / 'think.json'}"):
        done = run("add", "think", "--like", "qwen", "--with", text, "--output-price", "2")
        assert done.exit_code == 0, done.output
        body = sent.pop()
        assert body == {
            "name": "think",
            "generalist": False,
            "output_price": 2.0,
            "like": "qwen",
            "with": settings,
        }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--like", "qwen"], "needs both --like and --with"),
        (["--url", "http://h/v1", "--with", "{}"], "needs both --like and --with"),
        (["--like", "qwen", "--with", "{oops"], "--with is not valid JSON"),
        (["--like", "qwen", "--with", "[]"], "--with must be a JSON object"),
        (["--like", "qwen", "--url", "http://h/v1", "--with", "{}"], "give one of"),
        (["--like", "qwen", "--with", "{}", "--model", "x"], "has its base's --model"),
        (["--like", "qwen", "--with", "{}", "--context", "9"], "has its base's --context"),
        (["--like", "qwen", "--with", "{}", "--on", "embedded"], "has its base's --on"),
    ],
)
def test_what_makes_no_preset_is_refused(
    sent: list[dict[str, Any]], options: list[str], words: str
) -> None:
    """Before anything is sent."""
    refused = run("add", "think", *options)
    assert refused.exit_code == 2
    assert words in refused.output
    assert sent == []


@pytest.mark.usefixtures("registry")
def test_what_is_known_of_an_expert_is_changed_and_shown() -> None:
    """Also what a preset sets."""
    done = run("update", "qwen", "--tag", "eu", "--prior", "0.7", "--output-price", "0", "--json")
    changed = json.loads(done.stdout)
    assert (changed["tags"], changed["prior"], changed["output_price"]) == (["eu"], 0.7, 0.0)
    assert changed["input_price"] is None
    shown = json.loads(run("show", "think", "--json").stdout)
    assert (shown["tags"], shown["prior"], shown["preset"]) == (["eu"], 0.7, THINK.preset)
    assert '"temperature": 0' in run("show", "think").stdout


@pytest.mark.usefixtures("registry")
def test_a_base_is_removed_with_its_presets_where_that_is_said() -> None:
    """Else it stays, and the message names them."""
    refused = run("remove", "qwen")
    assert refused.exit_code != 0
    assert "base of the presets think" in str(refused.exception)
    assert run("remove", "qwen", "--with-presets").exit_code == 0
    assert json.loads(run("list", "--json").stdout) == []


def test_a_file_of_a_presets_fields_that_is_missing_is_named() -> None:
    """Before the service is asked."""
    refused = run("add", "think", "--like", "qwen", "--with", "@missing.json")
    assert refused.exit_code == 2
    assert "missing.json" in refused.output


def test_what_a_probe_cost_is_told_however_little_it_was() -> None:
    """A few tokens cost millionths of a dollar."""
    known: dict[str, Any] = {"tools": True, "vision": None, "endpoints": {}}
    probe = {"capabilities": known, "tokens": 31, "cost_usd": 6.2e-6}
    told = list(told_abilities(probe))
    assert told[-1] == "The probe took 31 tokens, which cost $0.0000062."


# --- prices ---


def test_further_prices_are_sent(sent: list[dict[str, Any]]) -> None:
    """By name."""
    words = ("--price", "cached_input=0.03", "--price", "request=0.005")
    assert run("add", "mine", "--url", "http://127.0.0.1:9/v1", *words).exit_code == 0
    assert sent[0]["prices"] == {"cached_input": 0.03, "request": 0.005}


@pytest.mark.usefixtures("registry")
def test_prices_are_added_and_forgotten_one_by_one() -> None:
    """And a preset has its base's."""
    assert (
        run("update", "qwen", "--price", "cached_input=0.03", "--price", "request=1").exit_code == 0
    )
    changed = run("update", "qwen", "--price", "reasoning=2", "--price", "request=", "--json")
    assert json.loads(changed.stdout)["prices"] == {"cached_input": 0.03, "reasoning": 2.0}
    preset = json.loads(run("show", "think", "--json").stdout)
    assert preset["prices"] == {"cached_input": 0.03, "reasoning": 2.0}


@pytest.mark.usefixtures("registry")
def test_changes_without_a_service_are_in_the_audit_log(tmp_path: Path) -> None:
    """As those that it makes, refused ones too."""
    assert run("update", "qwen", "--input-price", "0.5", "--tag", "eu").exit_code == 0
    assert json.loads(run("disable", "qwen", "--json").stdout)["enabled"] is False
    assert json.loads(run("enable", "qwen", "--json").stdout)["enabled"] is True
    assert run("update", "nobody", "--prior", "0.5").exit_code != 0
    assert run("remove", "qwen").exit_code != 0
    assert run("remove", "qwen", "--with-presets").exit_code == 0
    refused = run("add", "far", "--url", "http://127.0.0.1:9/v1", "--model", "far")
    assert refused.exit_code != 0
    lines = (tmp_path / "logs" / "audit.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [(e["method"], e["path"], e["status"]) for e in entries] == [
        ("PATCH", "/v1/experts/qwen", 200),
        ("PATCH", "/v1/experts/qwen", 200),
        ("PATCH", "/v1/experts/qwen", 200),
        ("PATCH", "/v1/experts/nobody", 404),
        ("DELETE", "/v1/experts/qwen", 400),
        ("DELETE", "/v1/experts/qwen", 204),
        ("POST", "/v1/experts", 422),
    ]
    assert [e["caller"] for e in entries] == ["127.0.0.1"] * 7
    assert entries[5]["query"] == "with_presets=true"
    assert json.loads(entries[6]["body"])["base_url"] == "http://127.0.0.1:9/v1"
    assert json.loads(entries[0]["body"]) == {"input_price": 0.5, "tags": ["eu"]}


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("cached_input", "'cached_input' is not of the form cached_input=0.03"),
        ("cached_input=dear", "'cached_input=dear' is not of the form"),
        ("=1", "'=1' is not of the form"),
        ("cached=1", "there is no price 'cached'"),
        ("cached_input=nan", "the price cached_input is a number of dollars from 0"),
    ],
)
def test_a_price_that_is_none_is_refused(word: str, message: str) -> None:
    """With words that say what it is such as."""
    refused = run("update", "qwen", "--price", word)
    assert refused.exit_code != 0
    assert message in f"{refused.output} {refused.exception}"


# --- profile ---


@pytest.mark.usefixtures("registry")
def test_the_cost_of_a_profile_is_stated_before_anything_is_asked() -> None:
    """A no ends it; an unknown price is said to be unknown, and allows no budget."""
    asked = CliRunner().invoke(command, ["profile", "qwen", "--questions", "30"], input="n\n")
    assert asked.exit_code == 1
    assert "nothing was asked" in str(asked.exception)
    assert "nothing was asked" in str(run("profile", "qwen").exception)
    assert "30 questions to 'qwen'" in asked.stderr
    assert "its price is unknown" in asked.stderr
    refused = run("profile", "qwen", "--budget-usd", "1", "--yes")
    assert refused.exit_code == 2
    assert "a budget needs the price of 'qwen'" in refused.output
    run("update", "qwen", "--input-price", "1", "--output-price", "10")
    priced = CliRunner().invoke(command, ["profile", "qwen", "--questions", "30"], input="n\n")
    assert re.search(r"about \$0\.0\d+, at most \$0\.\d+", priced.stderr)
    limited = ["profile", "qwen", "--budget-usd", "0.02"]
    assert "at most $0.0200" in CliRunner().invoke(command, limited, input="n\n").stderr


@pytest.mark.usefixtures("registry")
def test_a_file_of_questions_costs_what_it_has(tmp_path: Path) -> None:
    """Not sixty, if there are two."""
    lines = [
        {"prompt": f"What is {n} + 1?", "reference": str(n + 1), "kind": "sums"} for n in (1, 2)
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ["profile", "qwen", "--file", str(tmp_path / "own.jsonl")]
    assert "2 questions to 'qwen'" in CliRunner().invoke(command, words, input="n\n").stderr
    few = CliRunner().invoke(command, [*words, "--questions", "1"], input="n\n")
    assert "1 question to 'qwen'" in few.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind", "poems"], "there is no kind 'poems'; available: arithmetic"),
        (["--file", "/nowhere.jsonl"], "can't read the questions"),
        (["--file", "x.jsonl", "--kind", "sql"], "a --file has its own"),
    ],
)
def test_questions_that_there_are_not_are_refused(words: list[str], message: str) -> None:
    """Before anything is asked."""
    refused = run("profile", "qwen", *words)
    assert refused.exit_code != 0
    assert message in f"{refused.output} {refused.exception}"


@pytest.mark.usefixtures("registry")
def test_what_an_expert_can_and_where_it_is_can_be_said() -> None:
    """It stays when something else is said; it can be taken back."""
    args = ("--can", "tools", "--cannot", "images", "--max-output", "100", "--residency", "eu")
    told = json.loads(run("update", "qwen", *args, "--local", "--json").output)
    assert told["labels"] == {"residency": "eu", "local": "yes"}
    run("update", "qwen", "--can", "rerank", "--context", "3000")
    told = json.loads(run("update", "qwen", "--unsay", "tools", "--residency", "", "--json").output)
    assert told["labels"] == {"local": "yes"}
    assert told["capabilities"] == {
        "images": False,
        "max_output_tokens": 100,
        "endpoints": ["rerank"],
        "window_known": True,
        "by_hand": ["context_window", "images", "max_output_tokens", "rerank"],
    }


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--can", "smell"), "unknown ability smell; available: images, audio"),
        (("--can", "tools", "--cannot", "tools"), "both name tools"),
        ((), "nothing to change"),
    ],
)
def test_abilities_that_make_no_sense_are_refused(args: tuple[str, ...], told: str) -> None:
    """The message says what there is."""
    done = run("update", "qwen", *args)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


@pytest.mark.usefixtures("registry")
def test_an_expert_may_be_measured_when_it_is_registered(
    sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost is stated first there too."""
    profiled: list[tuple[str, bool]] = []

    async def keep(name: str, *, confirmed: bool) -> None:
        profiled.append((name, confirmed))

    monkeypatch.setattr(expert_add, "_profile", keep)
    assert run("add", "new", "--litellm", "openai/gpt-4o-mini", "--profile").exit_code == 0
    done = run("add", "next", "--litellm", "openai/gpt-4o-mini", "--profile", "--yes")
    assert "Measure it" not in done.output
    assert profiled == [("new", False), ("next", True)]
    assert len(sent) == 2


@pytest.mark.usefixtures("registry")
def test_the_list_tells_prices() -> None:
    """`-` is unknown, and free is 0; a preset has its base's."""
    run("update", "qwen", "--input-price", "0", "--output-price", "0.6")
    rows = [line.split() for line in run("list").stdout.splitlines()]
    assert rows[0][3:5] == ["INPUT", "OUTPUT"]
    assert [(row[0], *row[3:5]) for row in rows[1:]] == [
        ("qwen", "$0", "$0.6"),
        ("think", "$0", "$0.6"),
    ]
