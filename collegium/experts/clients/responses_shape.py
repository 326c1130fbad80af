"""Read events from OpenAI's Responses API, streamed or whole.

Each event is passed on unchanged (`Raw`), and also as the events that all protocols share. A whole
response is passed on as the last event of a stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from collegium.experts.clients.events import (
    AnswerEvent,
    Began,
    Finish,
    Json,
    Other,
    Raw,
    Reasoning,
    Text,
    ToolCall,
)
from collegium.experts.clients.openai_shape import Unshaped, mapping_of, text_of, usage_of

STATES = ("completed", "incomplete")
ENDS = tuple(f"response.{state}" for state in STATES)
REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""Why a response is incomplete, as chat completions say it."""
CALLS = ("function_call", "custom_tool_call", "local_shell_call")
KIND = re.compile(r"[a-z_]+(\.[a-z_]+)*")
Seal = Callable[[Json], Json]
"""Changes an item of the output before it is passed on."""


class ResponseReader:
    """Reads one answer, event by event."""

    def __init__(
        self, expert: str, seal: Seal = lambda item: item, *, hosted: bool = False
    ) -> None:
        """`hosted` says whether the expert was given tools that it runs itself."""
        self.over = False
        """Whether the answer is complete."""
        self._expert = expert
        self._seal = seal
        self._hosted = hosted
        self._begun = False
        self._calls: dict[int, int] = {}
        """The number of each tool call, by its place in the output."""
        self._said: set[int] = set()
        """Output indices of which something has been passed on."""

    def events(self, told: Json) -> list[AnswerEvent]:
        """The events of one event of a stream."""
        kind = told.get("type")
        if not isinstance(kind, str) or not KIND.fullmatch(kind):  # it names a line of its own
            raise Unshaped("an event has no type")
        if "output_index" in told:
            _place(told)  # whoever passes the event on relies on it
        if isinstance(told.get("item"), dict):
            told = {**told, "item": self._seal(told["item"])}
        if "response" not in told:
            return [Raw(told), *self._meant(kind, told)]
        response = mapping_of(told, "response")
        if kind in ENDS:
            return self._end(response, native=True)
        return [*self._beginning(response, native=True), Raw(told)]

    def whole(self, told: Json, *, streamed: bool) -> list[AnswerEvent]:
        """Return the events of a whole response, which can't be passed on as a stream."""
        return self._end(told, native=not streamed)

    def _beginning(self, response: Json, *, native: bool) -> list[AnswerEvent]:
        if self._begun:
            return []
        self._begun = True
        model, tier = response.get("model"), response.get("service_tier")
        named = model if isinstance(model, str) else None
        head = {"service_tier": tier} if isinstance(tier, str) else {}
        return [Began(self._expert, head, model=named, native=native, hosted=self._hosted)]

    def _end(self, response: Json, *, native: bool) -> list[AnswerEvent]:
        """The events of a response that is complete, or cut short."""
        status = response.get("status", "completed")
        if status not in STATES:
            raise Unshaped(f"a response ended as {status!r}")
        output = response.get("output")
        if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
            raise Unshaped("a response's output is not a list of items")
        self.over = True
        response = {**response, "status": status, "output": [self._seal(item) for item in output]}
        events = self._beginning(response, native=native)
        if native:  # vLLM 0.32 calls the end of a stream that was cut `response.completed`
            events.append(Raw({"type": f"response.{status}", "response": response}))
        for place, item in enumerate(response["output"]):
            if place not in self._said:
                events += self._item(place, item)
        usage = usage_of(as_chat(response.get("usage")))
        return [*events, Finish(self._reason(response)), *([] if usage is None else [usage])]

    def _reason(self, response: Json) -> str:
        if response["status"] == "completed":
            return "tool_calls" if self._calls else "stop"
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        return REASONS.get(str(reason), "length")

    def _meant(self, kind: str, told: Json) -> list[AnswerEvent]:
        if kind == "response.output_item.added":
            return self._added(_place(told), mapping_of(told, "item"))
        if kind == "response.output_item.done":
            place, item = _place(told), mapping_of(told, "item")
            return [] if place in self._said else self._item(place, item)
        if (read := DELTAS.get(kind)) is None:
            return []
        place, delta = _place(told), told.get("delta")
        if not isinstance(delta, str):
            raise Unshaped("a delta is not a string")
        self._said.add(place)
        return read(self, place, delta)

    def _added(self, place: int, item: Json) -> list[AnswerEvent]:
        """Functions are named immediately; calls of other tools are passed on when complete."""
        if item.get("type") != "function_call":
            return []
        return [self._call(place, item, "")]

    def _item(self, place: int, item: Json) -> list[AnswerEvent]:
        """The whole of an item."""
        kind = item.get("type")
        self._said.add(place)
        if kind == "message":
            return [event for part in _parts(item, "content") for event in _of_part(part)]
        if kind == "reasoning":
            parts = _parts(item, "content") or _parts(item, "summary")
            return [Reasoning(text) for part in parts if (text := text_of(part, "text"))]
        if kind not in CALLS:
            return []  # what ran at the vendor; the raw event tells it
        return [self._call(place, item, _arguments(item))]

    def _call(self, place: int, item: Json, arguments: str) -> ToolCall:
        known = place in self._calls
        number = self._calls.setdefault(place, len(self._calls))
        function = {"name": item.get("name", item.get("type")), "arguments": arguments}
        if known:  # it was named before
            return ToolCall(number, {"function": {"arguments": arguments}})
        piece = {"id": item.get("call_id"), "type": "function", "function": function}
        return ToolCall(number, piece)

    def _argued(self, place: int, delta: str) -> list[AnswerEvent]:
        if place not in self._calls:
            raise Unshaped("arguments come before their call")
        return [ToolCall(self._calls[place], {"function": {"arguments": delta}})]


def _spoken(_: ResponseReader, __: int, delta: str) -> list[AnswerEvent]:
    return [Text(delta)]


def _thought(_: ResponseReader, __: int, delta: str) -> list[AnswerEvent]:
    return [Reasoning(delta)]


def _declined(_: ResponseReader, __: int, delta: str) -> list[AnswerEvent]:
    return [Other({"refusal": delta})]


DELTAS: Mapping[str, Callable[[ResponseReader, int, str], list[AnswerEvent]]] = {
    "response.output_text.delta": _spoken,
    "response.refusal.delta": _declined,
    "response.reasoning_text.delta": _thought,
    "response.reasoning_summary_text.delta": _thought,
    "response.function_call_arguments.delta": ResponseReader._argued,
}
"""Events that contain pieces of a growing item."""


def as_chat(usage: Any) -> Json:
    """Return usage in the format of chat completions; an empty object if it is invalid."""
    if not isinstance(usage, Mapping):
        return {}
    read, written = usage.get("input_tokens"), usage.get("output_tokens")
    if type(read) is not int or type(written) is not int:
        return {}
    told: Json = {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }
    for name, chat in (
        ("input_tokens_details", "prompt_tokens_details"),
        ("output_tokens_details", "completion_tokens_details"),
    ):
        if isinstance(details := usage.get(name), Mapping):
            told[chat] = {k: v for k, v in details.items() if type(v) is int}
    return told


def _of_part(part: Json) -> list[AnswerEvent]:
    if part.get("type") == "refusal":
        return [Other({"refusal": text_of(part, "refusal")})]
    return [Text(text_of(part, "text"))] if "text" in part else []


def _arguments(item: Json) -> str:
    """Return a tool's input as a function's arguments."""
    if item["type"] == "custom_tool_call":
        return json.dumps({"input": item.get("input")}, ensure_ascii=False)
    if item["type"] == "local_shell_call":
        return json.dumps(item.get("action"), ensure_ascii=False)
    return text_of(item, "arguments")


def _parts(item: Json, name: str) -> list[Json]:
    parts = item.get(name) or []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise Unshaped(f"an item's {name} is not a list of parts")
    return parts


def _place(told: Json) -> int:
    place = told.get("output_index")
    if type(place) is not int or not 0 <= place < 10_000:
        raise Unshaped("an event has no output_index")
    return place
