"""Ask the Messages API, and check what comes by the types of Anthropic's own SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx
from anthropic.types import ErrorResponse, Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from tests.web.conftest import Web

MESSAGES = "/v1/messages"
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
Json = dict[str, Any]


def asking(content: Any = "sql 1", **fields: Any) -> Json:
    """A body that asks one question."""
    messages = [{"role": "user", "content": content}]
    return {"model": "auto", "max_tokens": 100, "messages": messages, **fields}


async def ask(web: Web, content: Any = "sql 1", **fields: Any) -> httpx.Response:
    """Ask one question."""
    return await web.http.post(MESSAGES, json=asking(content, **fields))


async def message(web: Web, content: Any = "sql 1", **fields: Any) -> Json:
    """A whole answer, which has the SDK's shape."""
    answer = await ask(web, content, **fields)
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    Message.model_validate(body, strict=False)
    assert body["stop_reason"] is not None
    return body


async def events(web: Web, content: Any = "sql 1", **fields: Any) -> list[Json]:
    """A streamed answer's events but for pings, each of the SDK's shape, in a valid order."""
    answer = await ask(web, content, stream=True, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [event for event in events_of(answer.text) if event["type"] != "ping"]
    check_events(told)
    return told


def events_of(text: str) -> list[Json]:
    """The events of a stream, whose names are those of their data."""
    found = []
    for part in text.split("\n\n"):
        if not part:
            continue
        name, data = part.split("\n")
        told = json.loads(data.removeprefix("data: "))
        assert name == f"event: {told['type']}"
        found.append(told)
    return found


def check_events(told: list[Json]) -> None:
    """Each has the SDK's shape, and no block begins before the one before it has ended."""
    for event in told:
        EVENTS.validate_python(event)
    kinds = [event["type"] for event in told]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    open_block, blocks = None, 0
    for event in told[1:-2]:
        if event["type"] == "content_block_start":
            assert open_block is None
            assert event["index"] == blocks
            open_block = blocks
        else:
            assert event["index"] == open_block
            if event["type"] == "content_block_stop":
                open_block, blocks = None, blocks + 1
            else:
                assert event["type"] == "content_block_delta"
    assert open_block is None


def content_of(told: list[Json]) -> list[Json]:
    """The content that the events of a stream make."""
    blocks: list[Json] = []
    for event in told:
        if event["type"] == "content_block_start":
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            block, delta = blocks[-1], event["delta"]
            for name, value in delta.items():
                if name == "partial_json":
                    block["json"] += value
                elif name != "type":
                    block[name] = block.get(name, "") + value
    for block in blocks:
        arguments = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(arguments or "{}")
    return blocks


def error_of(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, type and message of an error, which has the SDK's shape."""
    body = answer.json()
    assert body.keys() == {"type", "error", "request_id"}, body
    assert body["error"].keys() == {"type", "message"}
    if body["error"]["type"] not in ("request_too_large", "conflict_error"):  # not in its union
        ErrorResponse.model_validate(body)
    assert answer.headers["request-id"] == body["request_id"]
    return answer.status_code, body["error"]["type"], body["error"]["message"]
