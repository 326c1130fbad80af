"""Experts added, changed and removed with the command while the service runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from collegium.evals.tasks import TASKS
from collegium.experts.questions import KINDS
from collegium.experts.specialists import ADAPTERS
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.slow
SQL = TASKS["sql"].examples("test", 1, seed=5)[0]


@pytest.fixture
def echo(service: RunningService, echo_url: str) -> Iterator[str]:
    """An expert on the second server, gone after the test."""
    prices = ("--input-price", "0", "--output-price", "2")
    done = service.cli("expert", "add", "echo", "--url", echo_url, *prices)
    assert done.returncode == 0, done.stderr
    yield "echo"
    service.cli("expert", "remove", "echo")


def answer(http: httpx.Client, model: str, text: str, **more: Any) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 40}
    return http.post("/v1/chat/completions", json={**body, **more}).json()


def test_an_added_expert_answers_the_next_request(http: httpx.Client, echo: str) -> None:
    """No restart and no training; its price is accounted."""
    said = answer(http, echo, "hello there")
    assert said["choices"][0]["message"]["content"] == "Echo: hello there"
    assert said["model"] == "echo"
    assert said["collegium"]["outcome"]["cost_usd"] == pytest.approx(5 * 2 / 1e6)


def test_a_profiled_expert_is_routed_to(
    service: RunningService, http: httpx.Client, echo: str
) -> None:
    """A measured skill level counts at once, and so does disabling the expert."""
    level = {"skills": {"sql": 1.0}}
    assert http.patch(f"/v1/experts/{echo}", json=level).status_code == 200
    assert answer(http, "auto", SQL.prompt)["model"] == "echo"
    assert service.cli("expert", "disable", echo).returncode == 0
    assert answer(http, "auto", SQL.prompt)["model"] == "sql"
    assert answer(http, echo, "hi")["error"]["code"] == "model_not_found"
    assert service.cli("expert", "enable", echo).returncode == 0
    assert answer(http, "auto", SQL.prompt)["model"] == "echo"


def test_profile_measures_the_expert_with_marked_questions(
    service: RunningService, echo: str
) -> None:
    """An expert that only repeats is measured to know next to nothing; the cost is asked first."""
    refused = service.cli("expert", "profile", echo, "--questions", "20")
    assert refused.returncode == 1
    assert "20 questions to 'echo'" in refused.stderr
    assert "nothing was asked" in refused.stderr
    done = service.cli("expert", "profile", echo, "--questions", "60", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["expert"], said["questions"]) == (echo, 60)
    assert set(said["skills"]) == set(KINDS)
    assert max(skill["level"] for skill in said["skills"].values()) < 0.5
    assert said["cost_usd"] == pytest.approx(60 * 5 * 2 / 1e6, rel=0.2)
    kept = json.loads(service.cli("expert", "show", echo, "--json").stdout)["skills"]
    assert kept == {kind: skill["level"] for kind, skill in said["skills"].items()}


def test_litellm_reaches_the_same_server(
    service: RunningService, http: httpx.Client, echo_url: str
) -> None:
    """A model named as LiteLLM names it, here on our second server."""
    done = service.cli("expert", "add", "via-litellm", "--litellm", "openai/echo-1")
    assert done.returncode == 1  # no key and no address: refused, in words
    assert "via-litellm" in done.stderr
    new = {"name": "via-litellm", "kind": "litellm", "model": "openai/echo-1"}
    new |= {"base_url": echo_url, "api_key_env": "ECHO_API_KEY"}
    assert http.post("/v1/experts", json=new).status_code == 201
    try:
        said = answer(http, "via-litellm", "hello")
        assert said["choices"][0]["message"]["content"] == "Echo: hello"
    finally:
        assert service.cli("expert", "remove", "via-litellm").returncode == 0


def test_a_lora_adapter_is_loaded_while_serving(
    service: RunningService, http: httpx.Client
) -> None:
    """A model owner's adapter answers within the same minute."""
    folder = str(ADAPTERS / "sql")
    done = service.cli("expert", "add", "my-sql", "--lora", folder, "--on", "embedded", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["probe"]["answered"]
    try:
        mine = answer(http, "my-sql", SQL.prompt, temperature=0)
        ours = answer(http, "sql", SQL.prompt, temperature=0)
        text = mine["choices"][0]["message"]["content"]
        assert text == ours["choices"][0]["message"]["content"]
    finally:
        service.cli("expert", "remove", "my-sql")
    assert answer(http, "my-sql", "hi")["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x", "--url", "ftp://nowhere"), "is not the URL of an API"),
        (("x", "--url", "http://127.0.0.1:9/v1"), "does not answer"),
        (("sql", "--url", "http://127.0.0.1:9/v1"), "already exists"),
        (("x", "--lora", "/nowhere", "--on", "embedded"), "no adapter folder"),
        (("auto", "--url", "http://127.0.0.1:9/v1"), "is not a valid expert name"),
        (("x",), "give one of"),
        (("x", "--lora", str(ADAPTERS / "sql")), "needs the engine"),
        (("x", "--lora", str(ADAPTERS / "sql"), "--on", "nothing"), "nothing"),
    ],
)
def test_what_can_not_work_is_refused_and_changes_nothing(
    service: RunningService, http: httpx.Client, arguments: tuple[str, ...], words: str
) -> None:
    """A clear message, a non-zero status, the same experts as before."""
    before = http.get("/v1/experts").json()
    done = service.cli("expert", "add", *arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert http.get("/v1/experts").json() == before


def test_a_close_name_is_suggested(service: RunningService) -> None:
    """A typing mistake is answered with the likely name."""
    done = service.cli("expert", "show", "sqll")
    assert done.returncode == 1
    assert "did you mean sql" in done.stderr


def test_an_api_key_guards_the_api_alone(tmp_path: Path, echo_url: str) -> None:
    """With a key set, /v1 wants it; health does not. No engine is needed for remote experts."""
    key = "a-long-secret"
    settings = {"COLLEGIUM_API_KEY": key, "COLLEGIUM_EMBEDDED": "false"}
    with running_service(tmp_path, **settings) as guarded:
        assert httpx.get(f"{guarded.url}/v1/models").status_code == 401
        wrong = {"authorization": "Bearer wrong"}
        assert httpx.get(f"{guarded.url}/v1/models", headers=wrong).status_code == 401
        assert httpx.get(f"{guarded.url}/healthz").status_code == 200
        right = {"authorization": f"Bearer {key}"}
        assert httpx.get(f"{guarded.url}/v1/models", headers=right).status_code == 200
        added = guarded.cli("expert", "add", "echo", "--url", echo_url, "--generalist")
        assert added.returncode == 0, added.stderr
        body = {"messages": [{"role": "user", "content": "hi"}]}
        url = f"{guarded.url}/v1/chat/completions"
        said = httpx.post(url, json=body, headers=right, timeout=60).json()
        assert said["model"] == "echo"
        assert key not in (tmp_path / "serve.log").read_text()
