"""Read events from OpenAI's chat completions, streamed or whole.

Upstreams do not always keep to the format: a value of an unexpected type is `Unshaped`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from msgspec import Struct, structs
from msgspec.json import Decoder

from collegium.experts.clients.events import (
    AnswerEvent,
    Began,
    Finish,
    Json,
    Other,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from collegium.experts.clients.tool_calls import whole_calls

OF_CHUNKS = ("choices", "usage", "model", "object", "error", "collegium", "x-router-metadata")
"""Fields that are not part of a reply's head; the last two are set by us."""
OF_CHOICES = ("index", "delta", "message", "finish_reason")
MOST_TOKENS = 100_000_000
"""A hundred times the longest context window: larger counts are errors."""
MOST_NUMBER = 10_000
REASONING = ("reasoning_content", "reasoning")
THOUGHTS = "thinking_blocks"
OF_PIECES = ("role", "content", "tool_calls", THOUGHTS, *REASONING)


class Unshaped(ValueError):
    """A chunk or an answer does not have the shape of a chat completion."""


def mapping_of(event: Mapping[str, Any], name: str) -> Json:
    """Return a field that must be an object; raise Unshaped otherwise."""
    value = event.get(name)
    if not isinstance(value, dict):
        raise Unshaped(f"an event has no {name}")
    return value


def text_of(event: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a string; raise Unshaped otherwise."""
    value = event.get(name)
    if not isinstance(value, str):
        raise Unshaped(f"{name} is not a string")
    return value


def head_of(data: Mapping[str, Any]) -> Json:
    """Return the fields that describe the answer as a whole."""
    return {name: value for name, value in data.items() if name not in OF_CHUNKS}


def began(expert: str, data: Mapping[str, Any]) -> Began:
    """The beginning of an answer, by its first chunk or by the whole of it."""
    model = data.get("model")
    return Began(expert, head_of(data), model=model if isinstance(model, str) else None)


def chunk_events(chunk: Mapping[str, Any]) -> list[AnswerEvent]:
    """The events of one chunk."""
    events: list[AnswerEvent] = []
    usage = chunk.get("usage")
    if usage is None and "choices" not in chunk:
        raise Unshaped("a chunk has neither choices nor usage")
    for choice in _list(chunk.get("choices")):
        _add_choice(events, _choice(choice))
    if (counted := usage_of(usage)) is not None:
        events.append(counted)
    return events


def answer_events(expert: str, answer: Mapping[str, Any]) -> list[AnswerEvent]:
    """The events of a whole answer."""
    events: list[AnswerEvent] = [began(expert, answer)]
    for position, choice in enumerate(_list(answer.get("choices"))):
        events += message_events({"index": position, **_choice(choice)})
    if (usage := usage_of(answer.get("usage"))) is not None:
        events.append(usage)
    return events


def usage_of(told: Any) -> Usage | None:
    """Return the usage if its counts are valid, otherwise None: then tokens are counted here."""
    if not isinstance(told, dict) or not told:
        return None
    if not all(_is_count(told.get(name, 0)) for name in ("prompt_tokens", "completion_tokens")):
        return None
    rest = {k: v for k, v in told.items() if _is_count(v) or isinstance(v, dict) or v is None}
    return Usage(rest)


def _is_count(value: Any) -> bool:
    """Whether a value is a token count: an integer, not negative and not beyond any context
    window.
    """
    return type(value) in (int, float) and 0 <= value <= MOST_TOKENS


def message_events(choice: Mapping[str, Any]) -> list[AnswerEvent]:
    """The events of one choice of a whole answer."""
    index, message = _index(choice), _dict(choice.get("message"))
    if message.get("tool_calls"):
        calls = whole_calls([_dict(call) for call in _list(message["tool_calls"])])
        message = {**message, "tool_calls": calls}
    events: list[AnswerEvent] = []
    _add_pieces(events, index, message, None)
    if message.get("content") == "":
        events.append(Text("", choice=index))
    empty = {k: v for k, v in message.items() if not v and k not in ("role", "content")}
    if empty:  # such as `"refusal": null`: who sends it, expects it
        events.append(Other(empty, choice=index))
    extra = {name: value for name, value in choice.items() if name not in OF_CHOICES}
    if extra.get("logprobs") and (place := _first_text(events)) is not None:  # as streams have it
        said = {"logprobs": extra.pop("logprobs")}
        events[place] = structs.replace(events[place], extra=said)
    reason = choice.get("finish_reason")
    told = None if reason is None else str(reason)
    events.append(Finish(told, choice=index, extra=extra or None))
    return events


def _first_text(events: list[AnswerEvent]) -> int | None:
    return next((n for n, event in enumerate(events) if isinstance(event, Text)), None)


def plain_text(data: bytes) -> Text | None:
    """Return the event of a chunk that is only a piece of text, as nearly all are; None otherwise.

    None of any other chunk, and of what is no chunk: that is for `chunk_events` to read. This
    takes 0.4 us, and 1.1 that way.
    """
    try:
        (choice,) = _read_plain(data).choices
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    content = choice.delta.content
    return Text(content, choice=choice.index) if content else None


class Listed:
    """Events that are all there, as a stream."""

    def __init__(self, events: Iterable[AnswerEvent]) -> None:
        self._events = iter(events)

    def __aiter__(self) -> Listed:
        return self

    async def __anext__(self) -> AnswerEvent:
        for event in self._events:
            return event
        raise StopAsyncIteration


class _PlainDelta(Struct, forbid_unknown_fields=True):
    content: str | None = None
    role: str | None = None
    refusal: None = None
    reasoning: None = None
    reasoning_content: None = None
    tool_calls: None = None


class _PlainChoice(Struct, forbid_unknown_fields=True):
    delta: _PlainDelta
    index: int = 0
    finish_reason: None = None
    logprobs: None = None
    token_ids: None = None
    stop_reason: None = None


class _PlainChunk(Struct):
    choices: list[_PlainChoice]
    usage: None = None
    error: None = None


_read_plain = Decoder(_PlainChunk).decode


def _add_choice(events: list[AnswerEvent], choice: Mapping[str, Any]) -> None:
    index, reason, before = _index(choice), choice.get("finish_reason"), len(events)
    extra: Json | None = None
    for name, value in choice.items():
        if value is not None and name not in OF_CHOICES:
            extra = {**(extra or {}), name: value}
    delta = choice.get("delta")
    if delta is None:  # some send the whole answer as one chunk
        delta = choice.get("message")
    _add_pieces(events, index, _dict(delta), extra)
    if len(events) > before:
        extra = None  # it came with the first piece
    if reason:
        events.append(Finish(str(reason), choice=index, extra=extra))
    elif extra:
        events.append(Text("", choice=index, extra=extra))


def _add_pieces(
    events: list[AnswerEvent], index: int, message: Mapping[str, Any], extra: Json | None
) -> None:
    """The pieces of a delta or a message; `extra` goes with the first."""
    content = message.get("content")
    if type(content) is str and len(message) == 1 + ("role" in message):  # nearly every chunk
        if content:
            events.append(Text(content, choice=index, extra=extra))
        return
    before = len(events)
    _add_thoughts(events, index, message, extra)
    if content:
        left = _left(extra, events, before)
        events.append(Text(_text_of(content), choice=index, extra=left))
    for position, tool in enumerate(map(_dict, _list(message.get("tool_calls")))):
        given, left = tool.get("index"), _left(extra, events, before)
        at = given if _is_number(given) else position
        events.append(ToolCall(at, tool, choice=index, extra=left))
    others = {name: value for name, value in message.items() if value and name not in OF_PIECES}
    if others:
        events.append(Other(others, choice=index, extra=_left(extra, events, before)))


def _add_thoughts(
    events: list[AnswerEvent], index: int, message: Mapping[str, Any], extra: Json | None
) -> None:
    """Add reasoning: its text, and Anthropic's blocks with their signatures."""
    before = len(events)
    name, thought = next(((n, t) for n in REASONING if (t := message.get(n))), (REASONING[0], None))
    blocks = [_dict(block) for block in _list(message.get(THOUGHTS))]
    texts = [str(block.get("thinking") or "") for block in blocks]
    if thought and not any(texts):  # some upstreams send both names
        events.append(Reasoning(_text_of(thought), name, choice=index, extra=extra))
    for block, text in zip(blocks, texts, strict=True):
        if text:
            left = _left(extra, events, before)
            events.append(Reasoning(text, name, choice=index, extra=left))
        events.append(Other({THOUGHTS: [block]}, choice=index, extra=_left(extra, events, before)))


def _left(extra: Json | None, events: list[AnswerEvent], before: int) -> Json | None:
    """Return the log-probabilities for the first piece, and nothing for later ones."""
    return extra if len(events) == before else None


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if _is_number(index) else 0


def _is_number(value: Any) -> TypeGuard[int]:
    """Whether it can be the number of a choice or of a tool call."""
    return type(value) is int and 0 <= value <= MOST_NUMBER


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if value is None:
        return []
    raise Unshaped(f"a list was expected, not {type(value).__name__}")


def _choice(value: Any) -> Json:
    if value is None:
        raise Unshaped("a choice is null")
    return _dict(value)


def _dict(value: Any) -> Json:
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise Unshaped(f"an object was expected, not {type(value).__name__}")


def _text_of(content: Any) -> str:
    """Return the text of content, which may consist of parts."""
    if isinstance(content, str):
        return content
    return "".join(str(_dict(part).get("text") or "") for part in _list(content))
