"""Read events from Anthropic's Messages API, streamed or whole.

Each event is passed on unchanged (`Raw`), and also as the events that all protocols share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from collegium.experts.clients.openai_shape import THOUGHTS, Unshaped, mapping_of, text_of, usage_of

REASONS = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")


class MessageReader:
    """Reads one answer, event by event."""

    def __init__(self, expert: str) -> None:
        self.over = False
        """Whether the answer is complete."""
        self._expert = expert
        self._usage: Json = {}
        self._calls: dict[Any, int] = {}
        """The number of each tool call, by the number of its block."""

    def events(self, told: Json) -> list[AnswerEvent]:
        """The events of one event of a stream."""
        kind = told.get("type")
        if not isinstance(kind, str) or not kind.isidentifier():  # it names a line of its own
            raise Unshaped("an event has no type")
        self.over = kind == "message_stop"
        if kind == "message_start":
            message = mapping_of(told, "message")
            self._count(message.get("usage"))
            return [self._began(message, native=True), Raw(told)]
        return [Raw(told), *self._meant(kind, told)]

    def whole(self, message: Json, *, streamed: bool) -> list[AnswerEvent]:
        """Return the events of a whole message, which can't be passed on as a stream."""
        if not isinstance(message.get("content"), list):
            raise Unshaped("a message has no content")
        self._count(message.get("usage"))
        events: list[AnswerEvent] = [self._began(message, native=not streamed)]
        if not streamed:
            events.append(Raw(message))
        for number, block in enumerate(message["content"]):
            if not isinstance(block, dict):
                raise Unshaped("a content block is not an object")
            events += self._block(number, block)
        return [*events, *self._ended(message)]

    def _meant(self, kind: object, told: Json) -> list[AnswerEvent]:
        if kind == "content_block_start":
            return self._block(told.get("index"), mapping_of(told, "content_block"))
        if kind == "content_block_delta":
            return self._delta(told.get("index"), mapping_of(told, "delta"))
        if kind == "message_delta":
            self._count(told.get("usage"))
            return self._ended(mapping_of(told, "delta"))
        return []

    def _began(self, message: Mapping[str, Any], *, native: bool) -> Began:
        model = message.get("model")
        return Began(self._expert, model=model if isinstance(model, str) else None, native=native)

    def _block(self, number: Any, block: Json) -> list[AnswerEvent]:
        """A block as it begins, or the whole of it."""
        kind = block.get("type")
        if kind == "text":
            return [Text(text)] if (text := text_of(block, "text")) else []
        if kind == "thinking":
            return _thought(block)
        if kind == "redacted_thinking":
            return [Other({THOUGHTS: [block]})]
        if kind != "tool_use":
            return []  # what ran at the vendor; the raw event tells it
        call = self._calls[number] = len(self._calls)
        arguments = json.dumps(given) if (given := block.get("input")) else ""
        function = {"name": block.get("name"), "arguments": arguments}
        piece = {"id": block.get("id"), "type": "function", "function": function}
        return [ToolCall(call, piece)]

    def _delta(self, number: Any, delta: Mapping[str, Any]) -> list[AnswerEvent]:
        kind = delta.get("type")
        if kind == "text_delta":
            return [Text(text_of(delta, "text"))]
        if kind == "thinking_delta":
            return _thought({"type": "thinking", "thinking": text_of(delta, "thinking")})
        if kind == "signature_delta":
            return _thought({"type": "thinking", "signature": text_of(delta, "signature")})
        if kind == "input_json_delta" and number in self._calls:
            piece = {"function": {"arguments": text_of(delta, "partial_json")}}
            return [ToolCall(self._calls[number], piece)]
        return []

    def _ended(self, told: Mapping[str, Any]) -> list[AnswerEvent]:
        reason, sequence = told.get("stop_reason"), told.get("stop_sequence")
        finish = Finish(
            None if reason is None else REASONS.get(str(reason), "stop"),
            extra=None if sequence is None else {"stop_reason": sequence},
        )
        usage = usage_of(_as_chat(self._usage)) if self._usage else None
        return [finish] if usage is None else [finish, usage]

    def _count(self, usage: Any) -> None:
        """Note usage; later values replace earlier ones."""
        if isinstance(usage, dict):
            self._usage |= {name: value for name, value in usage.items() if value is not None}


def _as_chat(usage: Json) -> Json:
    """Usage as chat completions tell it, whose prompt has the cached tokens in it."""
    fresh, output = usage.get("input_tokens"), usage.get("output_tokens")
    read, written = (usage.get(name, 0) for name in CACHED)
    if not all(type(n) is int for n in (fresh, output, read, written)):
        return {}
    assert isinstance(fresh, int)
    assert isinstance(output, int)
    prompt = fresh + read + written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }


def _thought(block: Json) -> list[AnswerEvent]:
    text = block.get("thinking")
    events: list[AnswerEvent] = [Reasoning(str(text))] if text else []
    return [*events, Other({THOUGHTS: [{"thinking": "", **block}]})]
