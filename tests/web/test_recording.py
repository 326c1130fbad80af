"""What is kept of requests and answers: nothing, queries, or all, and what a redactor leaves."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import SettingsError
from collegium.registry.decisions.log import LoggedExchange
from collegium.settings import load_settings
from collegium.web.learning.from_log import logged_prompts
from collegium.web.learning.spec import FromLog
from collegium.web.serving.redaction import Redactor
from tests.web.bulk import ended, line, submitted
from tests.web.conftest import Serve, Web, until

SECRET = "Jane Doe"
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"x": 1}'}}
HOOKS = f"""
def names(text):
    return text.replace({SECRET!r}, "NAME")

def fails(text):
    raise ValueError("can't read " + text)

def nothing(text):
    return None
"""


@pytest.fixture(autouse=True)
def _hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's module that can be imported."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "redactors.py").write_text(HOOKS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "redactors", raising=False)


async def kept(web: Web) -> tuple[LoggedExchange, ...]:
    """What learning finds, when all is written."""
    await web.parts.background.finish()
    return await web.parts.log.learnable()


def database_bytes(web: Web) -> bytes:
    """Every value of every row of the database."""
    path = web.parts.settings.registry_url.removeprefix("sqlite+aiosqlite:///")
    with sqlite3.connect(path) as connection:
        text = "\n".join(connection.iterdump())
    connection.close()
    return text.encode()


@pytest.fixture
async def full(serve: Serve) -> AsyncIterator[Web]:
    """A service that keeps whole exchanges."""
    async with serve(record="full") as web:
        yield web


async def test_the_whole_exchange_is_kept(full: Web) -> None:
    """All that an expert was sent, and the message with its tool calls and reason to end."""
    script = full.experts["sql"]
    script.says = ""
    script.message = {"content": None, "tool_calls": [CALL]}
    response_format = {"type": "json_object"}
    fields = {"tools": [TOOL], "response_format": response_format, "temperature": 0.5}
    headers = {"x-session-id": "s1"}
    messages = [{"role": "user", "content": "sql 1"}]
    body = {"messages": messages, "metadata": {"application": "desk"}, **fields}
    answer = (await full.http.post("/v1/chat/completions", json=body, headers=headers)).json()
    (one,) = await kept(full)
    assert one.request == {"model": "auto", **body}
    assert one.answer is not None
    (choice,) = answer["choices"]
    del choice["logprobs"]
    assert one.answer["choices"] == [choice]
    assert one.answer["choices"][0]["message"]["tool_calls"] == [CALL]
    assert (one.answer["model"], one.answer["usage"]) == ("sql", answer["usage"])
    assert (one.decision.application, one.decision.session) == ("desk", "s1")
    assert one.outcome is not None
    shown = (await full.http.get(f"/v1/decisions/{one.decision.id}")).json()
    assert (shown["request"], shown["answer"]) == (one.request, one.answer)


async def test_a_streamed_answer_is_kept_as_a_whole_one(full: Web) -> None:
    """Put together again from its pieces."""
    await full.chat("sql 1", stream=True)
    (one,) = await kept(full)
    message = {"role": "assistant", "content": "hello there "}  # as its pieces come
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert one.answer == {"model": "sql", "choices": [choice], "usage": usage}


@pytest.mark.parametrize("stream", [False, True])
async def test_learning_reuses_a_recorded_answer(full: Web, stream: bool) -> None:
    """A judge is shown the message that the caller got."""
    await full.chat("sql 1", stream=stream)
    await kept(full)
    (prompt,) = await logged_prompts(full.parts.log, FromLog())
    assert prompt.logged["sql"].message["role"] == "assistant"
    assert prompt.logged["sql"].message["content"].strip() == "hello there"


async def test_a_panels_answer_is_kept_with_its_members(full: Web) -> None:
    """Each seat's text, for what one member said may be reused."""
    await full.chat("sql 1", model="collegium/vote", routing={"k": 2})
    (one,) = await kept(full)
    assert one.answer is not None
    assert one.answer["choices"][0]["message"]["content"].strip() == "hello there"
    members = one.answer["members"]
    assert [each["text"].strip() for each in members] == ["hello there", "hello there"]
    assert len({each["expert"] for each in members}) == 2


async def test_lines_of_bulk_jobs_are_kept(full: Web) -> None:
    """As any other request."""
    job = await submitted(full, [line("a", "sql 1"), line("b", "list 2")])
    assert (await ended(full, job))["status"] == "completed"
    found = await kept(full)
    assert sorted(each.request["messages"][0]["content"] for each in found if each.request) == [
        "list 2",
        "sql 1",
    ]
    assert all(each.answer for each in found)


async def test_a_request_that_failed_is_kept_without_an_answer(full: Web) -> None:
    """It can still be replayed."""
    full.experts["sql"].dies = KeyError("of a crash")
    await full.chat("sql 1", model="sql", stream=True)
    (one,) = await kept(full)
    assert one.request is not None
    assert one.answer is None


async def test_what_json_can_not_hold_costs_no_outcome(full: Web) -> None:
    """A number that is none is passed on; the exchange is not kept."""
    body = '{"messages": [{"role": "user", "content": "sql 1"}], "seed": 1, "x": NaN}'
    headers = {"content-type": "application/json"}
    answer = await full.http.post("/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 200
    (one,) = await kept(full)
    assert one.outcome is not None
    assert one.request is None


async def test_queries_alone_are_kept_by_default(web: Web) -> None:
    """No answer and no other message."""
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "sql 1"}]
    await web.http.post("/v1/chat/completions", json={"messages": messages})
    (one,) = await kept(web)
    assert (one.decision.prompt, one.request, one.answer) == ("sql 1", None, None)


async def test_off_writes_no_text_at_all(serve: Serve) -> None:
    """No query, system prompt, answer, comment or word of an upstream, in no table."""
    async with serve(record="off") as web:
        web.experts["sql"].says = f"Dear {SECRET}"
        system = {"role": "system", "content": f"You work for {SECRET}."}
        messages = [system, {"role": "user", "content": f"sql 1 {SECRET}"}]
        answer = await web.http.post("/v1/chat/completions", json={"messages": messages})
        decision = answer.json()["collegium"]["decision"]["id"]
        said = {"decision_id": decision, "verdict": "failed", "comment": f"Not {SECRET}"}
        assert (await web.http.post("/v1/feedback", json=said)).status_code == 200
        web.experts["sql"].refuses = rejection(f"{SECRET} is too long")
        assert (await web.chat(f"sql 1 {SECRET}", model="sql")).status_code == 400
        await web.chat(f"sql 1 {SECRET}", model="collegium/vote", routing={"k": 2})
        await web.parts.background.finish()
        await web.parts.recognition.synchronise()
        assert SECRET.encode() not in database_bytes(web)
        assert b"expert_rejected" in database_bytes(web)
        assert await kept(web) == ()


def rejection(words: str) -> Exception:
    """What an upstream says that quotes the prompt."""
    from collegium.errors import ExpertRejected

    return ExpertRejected("sql", words)


async def test_what_a_redactor_takes_out_is_written_nowhere(serve: Serve) -> None:
    """Not in queries, exchanges, system prompts, comments or errors; the rest stays."""
    async with serve(record="full", redact="redactors:names") as web:
        web.experts["sql"].says = f"Dear {SECRET}"
        system = {"role": "system", "content": f"You work for {SECRET}."}
        parts = [{"type": "text", "text": f"sql 1 {SECRET}"}]
        messages = [system, {"role": "user", "content": parts}]
        asked = {"messages": messages, "user": SECRET}
        answer = await web.http.post("/v1/chat/completions", json=asked)
        assert answer.json()["choices"][0]["message"]["content"] == f"Dear {SECRET}"
        decision = answer.json()["collegium"]["decision"]["id"]
        said = {"decision_id": decision, "verdict": "failed", "comment": f"Not {SECRET}"}
        await web.http.post("/v1/feedback", json=said)
        web.experts["sql"].refuses = rejection(f"{SECRET} is too long")
        await web.chat(f"sql 1 {SECRET}", model="sql")
        first, second = await kept(web)
        await web.parts.recognition.synchronise()
        assert SECRET.encode() not in database_bytes(web)
    assert first.decision.prompt == "sql 1 NAME"
    assert first.request is not None
    assert first.request["messages"][1]["content"] == [{"type": "text", "text": "sql 1 NAME"}]
    assert first.answer is not None
    assert first.answer["choices"][0]["message"]["content"] == "Dear NAME"
    assert first.feedback[0].comment == "Not NAME"
    assert second.outcome is not None
    assert "NAME is too long" in str(second.outcome.error)


@pytest.mark.parametrize("hook", ["fails", "nothing"])
async def test_a_redactor_that_fails_loses_the_text_and_no_answer(
    serve: Serve, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is kept unredacted, nor said in the service's own log."""
    async with serve(record="full", redact=f"redactors:{hook}") as web:
        answer = await web.chat(f"sql 1 {SECRET}")
        assert answer.status_code == 200
        assert await kept(web) == ()
        decision = await web.parts.log.get(answer.json()["collegium"]["decision"]["id"])
        assert decision.decision.prompt is None
        assert decision.outcome is not None
        assert SECRET.encode() not in database_bytes(web)
    assert "`redact` failed" in caplog.text
    assert SECRET not in caplog.text


async def test_a_redactor_that_never_returns_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is dropped, and the request goes on."""
    import threading

    held = threading.Event()
    monkeypatch.setattr("collegium.web.serving.redaction.PATIENCE_S", 0.01)

    def wait(text: str) -> str:
        held.wait(10)
        return text

    assert await Redactor(wait).text("hello") is None
    held.set()


async def test_words_of_the_protocol_are_left_alone() -> None:
    """A crude redactor still leaves what can be replayed."""
    message: dict[str, Any] = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
    found = await Redactor(lambda _: "x").value(message)
    assert found == {"role": "user", "content": [{"type": "text", "text": "x"}]}


@pytest.mark.parametrize("hook", ["missing:names", "redactors:missing", "redactors:__name__"])
def test_a_redactor_that_is_not_there_stops_the_start(hook: str) -> None:
    """With its name; nothing would be safe without it."""
    with pytest.raises(SettingsError, match=hook):
        Redactor.of(hook)


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_former_setting_says_what_to_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    """In the environment and in the file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLLEGIUM_RECORD_PROMPTS", value)
    with pytest.raises(SettingsError, match=r"COLLEGIUM_RECORD_PROMPTS: it is called `record` now"):
        load_settings()
    monkeypatch.delenv("COLLEGIUM_RECORD_PROMPTS")
    Path("collegium.toml").write_text(f"record_prompts = {json.loads(value)}".lower())
    with pytest.raises(SettingsError, match="record_prompts: it is called `record` now"):
        load_settings()


async def test_a_decision_that_is_deleted_while_it_is_answered(
    full: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer comes, and nothing of it is kept."""
    script = full.experts["sql"]
    script.waits = True
    asking = asyncio.create_task(full.chat("sql 1"))
    await until(lambda: script.asked)
    assert (await full.http.delete("/v1/decisions?owner=")).json()["deleted"] == 1
    script.go.set()
    assert (await asking).status_code == 200
    assert await kept(full) == ()
    assert "failed" not in caplog.text
