"""A server that one expert speaks the Responses API at, and what it answers by default."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pytest

from collegium.registry.expert import Expert
from tests.experts.scripted_server import Raw, Request, Scripted, response, scripted
from tests.web.conftest import Serve, Web
from tests.web.responses import ask, stream

Json = dict[str, Any]
both = pytest.mark.parametrize("streams", [False, True])
"""For a whole response, and for a stream of events."""
SERVES: Json = {"endpoints": ["chat", "responses"]}
HOSTING: Json = SERVES | {"hosted_tools": True}
THOUGHT: Json = {
    "id": "rs_up",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "I look."}],
    "encrypted_content": "gAAAAABsecret=",
}
SAID: Json = {
    "id": "msg_up",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hello there", "annotations": [], "logprobs": []}],
}
CALL: Json = {
    "id": "fc_up",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "find",
    "arguments": '{"x": 1}',
}
USAGE: Json = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}


def answered(*output: Json, status: str = "completed", **fields: Any) -> Json:
    """A whole response as OpenAI gives it."""
    return {
        "id": "resp_up",
        "object": "response",
        "created_at": 1,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": "gpt-real",
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": "low", "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 0.5,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 0.9,
        "truncation": "disabled",
        "usage": USAGE,
        "billing": {"payer": "developer"},
        **fields,
    }


def streamed(whole: Json, *grown: Json) -> list[Json]:
    """The events of a stream that ends with a response; `grown` ones come before its end."""
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    told = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *grown,
        {"type": f"response.{whole['status']}", "response": whole},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(told)]


def grown(place: int, item: Json, *deltas: Json) -> list[Json]:
    """The events of one item that grows by deltas."""
    empty = {name: value for name, value in item.items() if name != "encrypted_content"}
    begun = {**empty, "status": "in_progress"}
    for name in ("content", "summary"):
        if name in begun:
            begun[name] = []
    if "arguments" in begun:
        begun["arguments"] = ""
    at = {"item_id": item["id"], "output_index": place}
    return [
        {"type": "response.output_item.added", "output_index": place, "item": begun},
        *({**at, **delta} for delta in deltas),
        {"type": "response.output_item.done", "output_index": place, "item": item},
    ]


def text(*pieces: str) -> list[Json]:
    """The deltas of a text."""
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    here = {"content_index": 0}
    whole = "".join(pieces)
    return [
        {"type": "response.content_part.added", **here, "part": part},
        *(
            {"type": "response.output_text.delta", **here, "delta": piece, "logprobs": []}
            for piece in pieces
        ),
        {"type": "response.output_text.done", **here, "text": whole, "logprobs": []},
        {"type": "response.content_part.done", **here, "part": {**part, "text": whole}},
    ]


def arguments(*pieces: str) -> list[Json]:
    """The deltas of a call's arguments."""
    kind = "response.function_call_arguments"
    deltas = [{"type": f"{kind}.delta", "delta": piece} for piece in pieces]
    return [*deltas, {"type": f"{kind}.done", "name": "find", "arguments": "".join(pieces)}]


WHOLE = answered(THOUGHT, SAID, CALL)
STREAM = streamed(
    WHOLE,
    {"type": "keepalive"},
    *grown(0, THOUGHT),
    *grown(1, SAID, *text("hello ", "there")),
    *grown(2, CALL, *arguments('{"x"', ": 1}")),
)


def sse(told: Sequence[Json]) -> Raw:
    """Events as a server sends them."""
    parts = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in told]
    return response(text="".join(parts))


@dataclass
class Upstream:
    """What the server answers."""

    whole: Raw = field(default_factory=lambda: response(body=WHOLE))
    stream: Raw = field(default_factory=lambda: sse(STREAM))

    def respond(self, request: Request) -> Raw:
        """By the path and `stream`."""
        if request.path == "/v1/chat/completions":
            choice = {"message": {"content": "as a chat"}, "finish_reason": "stop"}
            return response(body={"choices": [choice]})
        return self.stream if request.json()["stream"] else self.whole

    def says(self, whole: Json, *told: Json) -> None:
        """Answer so, and in a stream by these events."""
        self.whole, self.stream = response(body=whole), sse(streamed(whole, *told))


@dataclass
class Native:
    """A service, and the server that one of its experts speaks the Responses API at."""

    web: Web
    server: Scripted
    upstream: Upstream

    @property
    def asked(self) -> Json:
        """What the expert was sent last."""
        sent: Json = self.server.requests[-1].json()
        return sent

    @property
    def path(self) -> str:
        """Where it was sent."""
        return self.server.requests[-1].path.removeprefix("/v1/")


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
            "gpt-real",
            base_url=server.url,
            input_price=1.0,
            output_price=2.0,
            context_window=100_000,
            capabilities=HOSTING,
        )
        async with serve(experts=[replace(expert, **fields)], **settings) as web:
            web.experts.real.add("native")
            yield Native(web, server, upstream)


async def final(native: Native, given: Any = "sql 1", *, streams: bool, **fields: Any) -> Json:
    """The response, whole or from a stream's end."""
    fields = {"model": "native", **fields}
    if streams:
        last: Json = (await stream(native.web, given, **fields))[-1]["response"]
        return last
    whole: Json = await ask(native.web, given, **fields)
    return whole
