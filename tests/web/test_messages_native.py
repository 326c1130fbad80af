"""Experts that speak the Messages API themselves: what they say is passed on as it comes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pytest

from collegium.registry.expert import Expert
from tests.experts.scripted_server import Raw, Request, Scripted, response, scripted
from tests.web.conftest import Serve, Web
from tests.web.messages import (
    Json,
    ask,
    asking,
    check_events,
    content_of,
    error_of,
    events,
    events_of,
    message,
)

SERVES = {"endpoints": ["chat", "messages"]}
CONTENT: list[Json] = [
    {"type": "thinking", "thinking": "I have to look.", "signature": "EqQBCgIYAhIM"},
    {"type": "redacted_thinking", "data": "EmwKAhgB"},
    {"type": "text", "text": "Looking."},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "here"}},
]
WHOLE: Json = {
    "id": "msg_upstream",
    "type": "message",
    "role": "assistant",
    "model": "claude-real",
    "content": CONTENT,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "context_management": {"applied_edits": []},
    "usage": {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 5,
        "output_tokens": 20,
    },
}
START = {**WHOLE, "content": [], "stop_reason": None}


def block(index: int, start: Json, *deltas: Json) -> list[Json]:
    """The events of one content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": d} for d in deltas),
        {"type": "content_block_stop", "index": index},
    ]


STREAM: list[Json] = [
    {"type": "message_start", "message": START | {"usage": WHOLE["usage"] | {"output_tokens": 1}}},
    {"type": "ping"},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "I have "},
        {"type": "thinking_delta", "thinking": "to look."},
        {"type": "signature_delta", "signature": "EqQBCgIYAhIM"},
    ),
    *block(1, CONTENT[1]),
    *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Looking."}),
    *block(
        3,
        {**CONTENT[3], "input": {}},
        {"type": "input_json_delta", "partial_json": '{"at": '},
        {"type": "input_json_delta", "partial_json": '"here"}'},
    ),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 20},
    },
    {"type": "message_stop"},
]


def sse(told: Sequence[Json]) -> Raw:
    """Events as a server sends them."""
    parts = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in told]
    return response(text="".join(parts))


@dataclass
class Upstream:
    """What the server answers."""

    whole: Raw = field(default_factory=lambda: response(body=WHOLE))
    stream: Raw = field(default_factory=lambda: sse(STREAM))
    count: Raw = field(default_factory=lambda: response(body={"input_tokens": 123}))

    def respond(self, request: Request) -> Raw:
        """By the path and `stream`."""
        if request.path == "/v1/messages/count_tokens":
            return self.count
        if request.path == "/v1/chat/completions":
            choice = {"message": {"content": "as a chat"}, "finish_reason": "stop"}
            return response(body={"choices": [choice]})
        return self.stream if request.json()["stream"] else self.whole


@dataclass
class Native:
    """A service, and the server that one of its experts speaks the Messages API at."""

    web: Web
    server: Scripted
    upstream: Upstream


@asynccontextmanager
async def speaking(
    serve: Serve, settings: Mapping[str, Any] = MappingProxyType({}), **fields: Any
) -> AsyncIterator[Native]:
    """A service with the expert `native`."""
    upstream = Upstream()
    async with scripted(upstream.respond) as server:
        expert = Expert(
            "native",
            "openai",
            "claude-real",
            base_url=server.url,
            api_key_env="NATIVE_API_KEY",
            input_price=1.0,
            output_price=2.0,
            capabilities=SERVES,
        )
        expert = replace(expert, **fields)
        async with serve(experts=[expert], **settings) as web:
            web.experts.real.add("native")
            yield Native(web, server, upstream)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native expert's key."""
    monkeypatch.setenv("NATIVE_API_KEY", "s3cret")


@pytest.fixture
async def native(serve: Serve) -> AsyncIterator[Native]:
    """A service with such an expert."""
    async with speaking(serve) as native:
        yield native


async def test_the_request_goes_on_as_it_came(native: Native) -> None:
    """But for the model's name; our key goes as Anthropic has it, and betas with it."""
    mark = {"cache_control": {"type": "ephemeral"}}
    body = asking(
        [{"type": "text", "text": "sql 1", **mark}],
        model="native",
        system=[{"type": "text", "text": "Be brief.", **mark}],
        thinking={"type": "adaptive"},
        context_management={"edits": []},
        routing={"priority": "urgent"},
    )
    headers = {"anthropic-beta": "context-management-2025-06-27", "x-secret": "of the caller"}
    answer = await native.web.http.post("/v1/messages?beta=true", json=body, headers=headers)
    assert answer.status_code == 200
    (request,) = native.server.requests
    assert request.path == "/v1/messages"
    wanted = {k: v for k, v in body.items() if k != "routing"}
    assert request.json() == wanted | {"model": "claude-real", "stream": False}
    assert request.headers["x-api-key"] == "s3cret"
    assert request.headers["anthropic-version"]
    assert request.headers["anthropic-beta"] == "context-management-2025-06-27"
    assert "x-secret" not in request.headers


async def test_a_whole_message_comes_back_as_it_is(native: Native) -> None:
    """Under our names, with our labels; what it took is accounted for."""
    body = await message(native.web, model="native")
    ours = ("id", "model", "collegium")
    assert {k: v for k, v in body.items() if k not in ours} == {
        k: v for k, v in WHOLE.items() if k not in ours
    }
    assert body["model"] == "native"
    assert body["id"] == f"msg_{body['collegium']['decision']['id']}"
    outcome = await native.web.outcome(body["collegium"]["decision"]["id"])
    assert (outcome["prompt_tokens"], outcome["completion_tokens"]) == (115, 20)
    assert outcome["cost_usd"] > 0


async def test_a_stream_comes_back_as_it_is(native: Native) -> None:
    """Event by event, pings too; the outcome is on the last but one."""
    text = (await ask(native.web, model="native", stream=True)).text
    told = events_of(text)
    check_events([event for event in told if event["type"] != "ping"])
    assert told[1:-2] == STREAM[1:-2]
    assert told[0]["message"]["model"] == "native"
    assert told[0]["message"]["usage"] == STREAM[0]["message"]["usage"]
    end = told[-2]
    labels = end.pop("collegium")
    assert end == STREAM[-2]
    assert labels["outcome"]["completion_tokens"] == 20
    assert labels["outcome"]["prompt_tokens"] == 115


async def test_chat_completions_of_the_same_expert_are_a_chat(native: Native) -> None:
    """Each caller gets its own protocol."""
    answer = await native.web.chat(model="native")
    assert answer.json()["choices"][0]["message"]["content"] == "as a chat"


async def test_another_expert_may_answer_in_its_place(native: Native) -> None:
    """As a chat, where the native one fails before it begins."""
    native.upstream.whole = native.upstream.stream = response(503, body={"error": {}})
    routing = {"failover": True}
    for told in (
        await message(native.web, model="native", routing=routing),
        (await events(native.web, model="native", routing=routing))[0]["message"],
    ):
        assert told["model"] != "native"


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(400, (400, "invalid_request_error")), (529, (503, "overloaded_error")), (429, (429, None))],
)
async def test_an_upstreams_errors(
    native: Native, status: int, wanted: tuple[int, str | None]
) -> None:
    """Are errors of the expert, in Anthropic's shape."""
    told = {"type": "error", "error": {"type": "x", "message": "no such thing"}}
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
    data = json.dumps(told)
    raw = Raw(f"{head}Content-Length: {len(data)}\r\n\r\n{data}".encode())
    native.upstream.whole = native.upstream.stream = raw
    for stream in (False, True):
        answer = await ask(native.web, model="native", stream=stream)
        found = error_of(answer)
        assert found[0] == wanted[0]
        assert wanted[1] in (None, found[1])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([{"type": "error", "error": {"type": "overloaded_error"}}], "is overloaded"),
        ([STREAM[1]], "ended without an answer|closed in the middle"),
        ([{"type": "a\nb"}], "something other than the message's format"),
        (
            [{"type": "content_block_delta", "index": 0}],
            "something other than the message's format",
        ),
    ],
)
async def test_a_stream_that_breaks(native: Native, told: list[Json], words: str) -> None:
    """Ends with an error event; before a word is said it is an error of the request."""
    native.upstream.stream = sse([STREAM[0], *told])
    before = await ask(native.web, model="native", stream=True)
    assert before.status_code in (502, 503)
    assert re.search(words, before.json()["error"]["message"])
    native.upstream.stream = sse([*STREAM[:4], *told])
    *_, last = events_of((await ask(native.web, model="native", stream=True)).text)
    assert last["type"] == "error"
    assert re.search(words, last["error"]["message"])


@pytest.mark.parametrize(
    "raw",
    [
        sse([{"type": "error", "error": {"type": "api_error", "message": "x"}}]),
        sse([]),
        response(text="data: {\n\n"),
        response(body={"type": "message"}),
        response(body=[]),
    ],
)
async def test_what_is_no_message(native: Native, raw: Raw) -> None:
    """Is the expert's error, before anything was sent."""
    native.upstream.stream = native.upstream.whole = raw
    answer = await ask(native.web, model="native", stream=True)
    status, kind, _ = error_of(answer)
    assert (status, kind) in ((502, "api_error"), (503, "overloaded_error"))


async def test_a_whole_message_where_a_stream_was_asked(native: Native) -> None:
    """Is streamed to the caller."""
    native.upstream.stream = native.upstream.whole
    told = await events(native.web, model="native")
    assert content_of(told) == CONTENT
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_full_record_has_the_answer(serve: Serve, stream: bool) -> None:
    """In the shape of all other records."""
    async with speaking(serve, settings={"record": "full"}) as native:
        answer = await ask(native.web, model="native", stream=stream)
        await native.web.parts.background.finish()
        path = f"/v1/decisions/{answer.headers['x-collegium-decision-id']}"
        kept = (await native.web.http.get(path)).json()
    (choice,) = kept["answer"]["choices"]
    said = choice["message"]
    assert said["content"] == "Looking."
    assert said["thinking_blocks"] == CONTENT[:2]
    function = said["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("look", {"at": "here"})
    assert choice["finish_reason"] == "tool_calls"


async def test_the_expert_counts_its_own_tokens(native: Native) -> None:
    """By its own tokenizer; where it can't, we estimate."""
    prompt = {"model": "native", "messages": [{"role": "user", "content": "sql 1"}]}
    path = "/v1/messages/count_tokens"
    answer = await native.web.http.post(path, json=prompt)
    assert answer.json() == {"input_tokens": 123}
    assert answer.headers["x-collegium-counted"] == "expert"
    assert native.server.requests[-1].json() == prompt | {"model": "claude-real"}
    for broken in (response(404, body={}), response(body={"input_tokens": -1}), response(body=[])):
        native.upstream.count = broken
        answer = await native.web.http.post(path, json=prompt)
        assert answer.headers["x-collegium-counted"] == "estimate"
        assert answer.json()["input_tokens"] < 123


DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "a page"},
}


@pytest.mark.parametrize(("model", "path"), [("claude-real", "messages"), ("qwen", "chat")])
async def test_documents_go_natively_to_claude_alone(serve: Serve, model: str, path: str) -> None:
    """Other servers of the Messages API don't know them, but take the text of a chat."""
    async with speaking(serve, model=model) as native:
        content = [DOCUMENT, {"type": "text", "text": "sql 1"}]
        await message(native.web, content, model="native")
        assert native.server.requests[-1].path.startswith(f"/v1/{path}")


async def test_an_expert_that_is_not_known_to_speak_it_gets_a_chat(serve: Serve) -> None:
    """Nothing is tried that may fail."""
    async with speaking(serve, capabilities={}) as native:
        body = await message(native.web, model="native")
        assert body["content"] == [{"type": "text", "text": "as a chat"}]
        assert native.server.requests[-1].path == "/v1/chat/completions"
