"""A session of Claude Code as it is on the wire: what it sends, in its shape, and what it gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.web.access import KEYS
from tests.web.conftest import Serve, Web
from tests.web.fakes import POOL, delta
from tests.web.messages import Json, check_events, content_of, events_of

MARK = {"cache_control": {"type": "ephemeral"}}
BETAS = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27"
HEADERS = {
    "accept": "application/json",
    "anthropic-beta": BETAS,
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-version": "2023-06-01",
    "authorization": "Bearer a-callers-key",
    "user-agent": "claude-cli/2.1.5 (external, cli)",
    "x-app": "cli",
    "x-stainless-helper-method": "stream",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
}
USER = f"user_{'5f' * 32}_account__session_0c9d8f7e-1b2a-4c3d-8e4f-5a6b7c8d9e0f"
READ = {
    "name": "Read",
    "description": "Reads a file from the local filesystem.",
    "input_schema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "file_path": {"type": "string", "description": "The absolute path"},
            "limit": {"type": "number"},
        },
        "required": ["file_path"],
        "additionalProperties": False,
    },
}
BASH = {
    "name": "Bash",
    "description": "Executes a command.",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    },
    **MARK,
}
REMINDER = "<system-reminder>\nThe date is 2026-11-29.\n</system-reminder>"


def request(*messages: Json, **fields: Any) -> Json:
    """A body of the main loop."""
    return {
        "model": "claude-sonnet-4-5-20250929",
        "messages": list(messages),
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.5; cch=3f2a1;"},
            {"type": "text", "text": "You are a CLI for software engineers.", **MARK},
            {"type": "text", "text": "\nUse the tools that you have.", **MARK},
        ],
        "tools": [READ, BASH],
        "metadata": {"user_id": USER},
        "max_tokens": 32_000,
        "thinking": {"budget_tokens": 31_999, "type": "enabled"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "stream": True,
        **fields,
    }


QUESTION: Json = {
    "role": "user",
    "content": [
        {"type": "text", "text": REMINDER},
        {"type": "text", "text": "sql 1 in the file a.sql", **MARK},
    ],
}


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service that its user pointed Claude Code to."""
    async with serve(**KEYS, model_aliases={"claude-*": "auto"}) as web:
        yield web


async def send(web: Web, body: Json) -> httpx.Response:
    answer = await web.http.post("/v1/messages?beta=true", json=body, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer


async def streamed(web: Web, body: Json) -> list[Json]:
    """A streamed answer's events, checked."""
    told = [e for e in events_of((await send(web, body)).text) if e["type"] != "ping"]
    check_events(told)
    return told


def say(web: Web, chunks: list[Json] | None) -> None:
    """Have every expert say so, for anybody may be chosen."""
    for expert in POOL:
        web.experts[expert.name].chunks = chunks


def piece(index: int, arguments: str, name: str | None = None) -> Json:
    """Of a tool call, as an upstream streams it."""
    head = {"id": f"call_{index}", "type": "function"} if name else {}
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return delta({"tool_calls": [{"index": index, **head, "function": function}]})


LOOKS: list[Json] = [
    delta({"role": "assistant", "content": None, "reasoning_content": "I read "}),
    delta({"reasoning_content": "it first."}),
    delta({"content": "I'll read "}),
    delta({"content": "the file."}),
    piece(0, "", "Read"),
    piece(0, '{"file_path": '),
    piece(1, '{"comm', "Bash"),
    piece(0, '"/a.sql"}'),
    piece(1, 'and": "ls"}'),
    delta({}, "tool_calls"),
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 900,
            "completion_tokens": 40,
            "prompt_tokens_details": {"cached_tokens": 800},
        },
    },
]


async def test_a_session(web: Web) -> None:
    """The check of the quota, the count of the prompt, and a loop with two tools at once."""
    quota = {
        "model": "claude-haiku-4-5-20251001",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "quota"}],
        "metadata": {"user_id": USER},
    }
    assert (await send(web, quota)).json()["type"] == "message"

    prompt = {k: request(QUESTION)[k] for k in ("model", "messages", "system", "tools")}
    path = "/v1/messages/count_tokens?beta=true"
    counted = await web.http.post(path, json=prompt, headers=HEADERS)
    assert counted.json()["input_tokens"] > 50

    say(web, LOOKS)
    told = await streamed(web, request(QUESTION))
    thinking, text, read, bash = content_of(told)
    assert thinking["thinking"] == "I read it first."
    assert text["text"] == "I'll read the file."
    assert (read["name"], read["input"]) == ("Read", {"file_path": "/a.sql"})
    assert (bash["name"], bash["input"]) == ("Bash", {"command": "ls"})
    end = told[-2]
    assert end["delta"]["stop_reason"] == "tool_use"
    assert (end["usage"]["input_tokens"], end["usage"]["cache_read_input_tokens"]) == (100, 800)

    say(web, None)
    results = [
        {"type": "tool_result", "tool_use_id": read["id"], "content": "1→SELECT 1;"},
        {
            "type": "tool_result",
            "tool_use_id": bash["id"],
            "content": "ls: no such file",
            "is_error": True,
            **MARK,
        },
        {"type": "text", "text": REMINDER},
    ]
    said = {"role": "assistant", "content": [thinking, text, read, bash]}
    told = await streamed(web, request(QUESTION, said, {"role": "user", "content": results}))
    assert content_of(told) == [{"type": "text", "text": "hello there "}]
    assert told[-2]["delta"]["stop_reason"] == "end_turn"

    sent = web.experts[told[0]["message"]["model"]].asked[-1].body
    assert [m["role"] for m in sent["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
    ]
    system, _, assistant, first, second, _ = sent["messages"]
    assert "x-anthropic" not in system["content"]
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_0", "call_1"]
    assert (first["tool_call_id"], first["content"]) == ("call_0", "1→SELECT 1;")
    assert second["content"] == "Error:\nls: no such file"
    assert sent["reasoning_effort"] == "high"
    assert sent["user"] == USER
    assert "cache_control" not in json.dumps(dict(sent))
    assert sent.keys().isdisjoint({"context_management", "thinking", "metadata"})


async def test_a_search_on_the_web(web: Web) -> None:
    """Runs at Anthropic: Claude Code is told so, and goes on without it."""
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
    body = request(QUESTION, tools=[search])
    answer = await web.http.post("/v1/messages?beta=true", json=body, headers=HEADERS)
    assert answer.status_code == 400
    assert "web_search_20250305" in answer.json()["error"]["message"]
