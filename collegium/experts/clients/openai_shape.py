"""Read events out of OpenAI's chat completions: out of a chunk, or out of a whole answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import Any

from collegium.experts.clients.events import (
    AnswerEvent,
    Began,
    Finish,
    Json,
    Other,
    Piece,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)

OF_CHUNKS = ("choices", "usage", "model", "object", "error")
"""Fields that are not part of a reply's head."""
OF_CHOICES = ("index", "delta", "message", "finish_reason")
REASONING = ("reasoning_content", "reasoning")
OF_PIECES = ("role", "content", "tool_calls", *REASONING)


def head_of(data: Mapping[str, Any]) -> Json:
    """What a chunk or an answer says of the answer as a whole."""
    return {name: value for name, value in data.items() if name not in OF_CHUNKS}


def chunk_events(chunk: Mapping[str, Any]) -> list[AnswerEvent]:
    """The events of one chunk, which has passed `is_shaped`."""
    events: list[AnswerEvent] = []
    for choice in chunk.get("choices") or ():
        events += _choice_events(choice)
    if usage := chunk.get("usage"):
        events.append(Usage(usage))
    return events


def answer_events(expert: str, answer: Mapping[str, Any]) -> list[AnswerEvent]:
    """The events of a whole answer, which has passed `is_shaped`."""
    events: list[AnswerEvent] = [Began(expert, head_of(answer))]
    for position, choice in enumerate(answer["choices"]):
        events += message_events({"index": position, **choice})
    if usage := answer.get("usage"):
        events.append(Usage(usage))
    return events


def message_events(choice: Mapping[str, Any]) -> list[AnswerEvent]:
    """The events of one choice of a whole answer."""
    index, message = _index(choice), choice.get("message") or {}
    events: list[AnswerEvent] = [*_pieces(index, message, None)]
    if message.get("content") == "":
        events.append(Text("", index))
    empty = {k: v for k, v in message.items() if not v and k not in ("role", "content")}
    if empty:  # such as `"refusal": null`: who sends it, expects it
        events.append(Other(empty, index))
    extra = {name: value for name, value in choice.items() if name not in OF_CHOICES}
    return [*events, Finish(choice.get("finish_reason"), index, extra or None)]


def is_shaped(data: Mapping[str, Any]) -> bool:
    """Whether a chunk or an answer has a chat completion's shape, so that it can be read."""
    choices, usage = data.get("choices"), data.get("usage")
    if choices is not None and not isinstance(choices, list):
        return False
    if usage is not None and not isinstance(usage, dict):
        return False
    return all(isinstance(c, dict) and _is_shaped_choice(c) for c in choices or ())


async def listed(events: Iterable[AnswerEvent]) -> AsyncGenerator[AnswerEvent]:
    """Events that are all there, as a stream."""
    for event in events:
        yield event


def _is_shaped_choice(choice: Mapping[str, Any]) -> bool:
    for name in ("delta", "message"):
        said = choice.get(name)
        if said is None:
            continue
        if not isinstance(said, dict):
            return False
        tools = said.get("tool_calls")
        if tools is not None and not (
            isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)
        ):
            return False
    return True


def _choice_events(choice: Mapping[str, Any]) -> list[AnswerEvent]:
    index, reason, extra = _index(choice), choice.get("finish_reason"), _extra(choice)
    events: list[AnswerEvent] = [*_pieces(index, choice.get("delta") or {}, extra)]
    if events:
        extra = None  # it came with the first piece
    if reason:
        events.append(Finish(str(reason), index, extra))
    elif extra:
        events.append(Text("", index, extra))
    return events


def _pieces(index: int, message: Mapping[str, Any], extra: Json | None) -> Iterator[Piece]:
    """The pieces of a delta or a message; `extra` goes with the first."""
    for name in REASONING:
        if (thought := message.get(name)) and isinstance(thought, str):
            yield Reasoning(thought, index, name, extra)
            extra = None
            break  # some upstreams send both names
    if content := message.get("content"):
        yield Text(content if isinstance(content, str) else _text_of(content), index, extra)
        extra = None
        if len(message) == 1:  # nearly every chunk
            return
    for position, tool in enumerate(message.get("tool_calls") or ()):
        given = tool.get("index")
        yield ToolCall(given if isinstance(given, int) else position, tool, index, extra)
        extra = None
    others = {name: value for name, value in message.items() if name not in OF_PIECES and value}
    if others:
        yield Other(others, index, extra)


def _extra(choice: Mapping[str, Any]) -> Json | None:
    return {k: v for k, v in choice.items() if k not in OF_CHOICES and v is not None} or None


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _text_of(content: object) -> str:
    """The text of content in parts."""
    parts = content if isinstance(content, list) else ()
    return "".join(str(p.get("text") or "") for p in parts if isinstance(p, dict))
