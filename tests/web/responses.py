"""Ask for responses, and check what comes against the types of OpenAI's own library."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.web.conftest import Web
from tests.web.fakes import delta

PATH = "/v1/responses"
ENDS = ("response.completed", "response.incomplete", "response.failed")
Events = list[dict[str, Any]]
FIND = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": True}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Change files."}
SHELL = {"type": "local_shell"}


async def ask(web: Web, given: Any = "sql 1", *, status: int = 200, **fields: Any) -> Any:
    """The response to an input, checked, or the error."""
    answer = await web.http.post(PATH, json={"input": given, **fields})
    assert answer.status_code == status, answer.text
    return checked(answer.json()) if status == 200 else answer.json()["error"]


async def stream(web: Web, given: Any = "sql 1", **fields: Any) -> Events:
    """The events of a streamed response, checked one by one and together."""
    answer = await web.http.post(PATH, json={"input": given, "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    found = events_of(answer.text)
    assert found[-1]["type"] != "response.failed", found[-1]
    return found


def events_of(text: str) -> Events:
    """A stream's events: each is named as its type, of a known shape, and has its number."""
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        typed().validate_python(event)
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    assert [event["type"] in ENDS for event in found] == [False] * (len(found) - 1) + [True]
    checked(found[-1]["response"])
    agree(found)
    return found


def checked(response: Any) -> Any:
    """A response whose fields have the types that OpenAI's library gives them."""
    Response.model_validate(response)
    return response


@cache
def typed() -> TypeAdapter[ResponseStreamEvent]:
    """Any event of a stream."""
    return TypeAdapter(ResponseStreamEvent)


def agree(events: Events) -> None:
    """What was told bit by bit is what the last event holds: the ids, the places and the texts."""
    output = events[-1]["response"]["output"]
    for kind, at in (("added", "in_progress"), ("done", None)):
        told = [e for e in events if e["type"] == f"response.output_item.{kind}"]
        states = [e["item"]["status"] for e in told if "status" in e["item"]]  # a thought has none
        assert all(state == (at or state) for state in states)
        by_place = {e["output_index"]: e["item"]["id"] for e in told}
        assert len(by_place) == len(told)
        if events[-1]["type"] != "response.failed":
            assert by_place == {place: item["id"] for place, item in enumerate(output)}
    for event in events:
        if event["type"] == "response.output_item.done":
            assert event["item"] == output[event["output_index"]]
        if "item_id" in event:
            assert event["item_id"] == output[event["output_index"]]["id"]


def kinds(events: Events) -> list[str]:
    """The events' types without what all have in common, each run of one type once."""
    names = [event["type"].removeprefix("response.") for event in events]
    return [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]


def said(events: Events, kind: str = "output_text") -> str:
    """The deltas of one kind together."""
    return "".join(e["delta"] for e in events if e["type"] == f"response.{kind}.delta")


def asked(web: Web, expert: str = "sql") -> Any:
    """What the expert was sent last."""
    return web.experts[expert].asked[-1].body


def called(name: str, arguments: str = "", *, index: int = 0, call_id: str = "call_1") -> Any:
    """A delta that begins a tool call."""
    function = {"name": name, "arguments": arguments}
    call = {"index": index, "id": call_id, "type": "function", "function": function}
    return delta({"tool_calls": [call]})


def argued(arguments: str, index: int = 0) -> Any:
    """A delta that goes on with one."""
    return delta({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
