"""One reply of an expert: its events as they come, or the whole answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from collegium.errors import ExpertError
from collegium.experts.clients.counting import estimated_tokens
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
from collegium.registry.expert import Expert

Role = Literal["member", "aggregator", "judge", "verifier"]


@dataclass(frozen=True)
class Call:
    """One question to one expert."""

    expert: Expert
    body: Mapping[str, Any]
    """The request in the shape of OpenAI's chat completions, without `model` and `stream`."""
    role: Role = "member"
    seat: int = 0
    """Unique among the calls of one answer."""
    stream: bool = False
    """Whether the events are wanted as they come."""
    instead: tuple[Expert, ...] = ()
    """Experts that may answer if this one fails before it begins, best first."""


@dataclass
class Waits:
    """What a call waited for before it was asked, seconds; filled in on its way."""

    queued_s: float | None = None
    """In the expert's queue; None while it had no turn."""
    loaded_s: float = 0.0
    """Until the engine was loaded, where engines take turns."""

    @property
    def total_ms(self) -> float | None:
        """All waiting, milliseconds; None while it had no turn."""
        return None if self.queued_s is None else 1000 * (self.queued_s + self.loaded_s)


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    head: Json
    choices: tuple[Json, ...]
    """In OpenAI's shape: `index`, `message`, `finish_reason` and what else the upstream gave."""
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """What the first choice says."""
        return str(self.choices[0]["message"].get("content") or "")

    def body(self) -> Json:
        """The answer in the shape of OpenAI's chat completions, without `model`."""
        usage = {} if self.usage is None else {"usage": self.usage.fields}
        return {**self.head, "choices": list(self.choices), **usage}


class Reply:
    """An answer that an expert gives. Iterate over its events once, or ask for the `whole`."""

    def __init__(self, events: AsyncIterator[AnswerEvent], *, streamed: bool = True) -> None:
        self.began = Began("")
        self.waits = Waits()
        self.usage: Usage | None = None
        self.tokens = 0
        """About how many tokens have come: one a piece, of a whole answer by its length."""
        self.first_at: float | None = None
        """When the first piece came (`time.perf_counter`); None of an answer that came whole."""
        self._events = events
        self._streamed = streamed
        self._told = False

    async def begin(self, expert: str) -> None:
        """Return when the expert has begun to answer; ExpertError when it ends before that."""
        first = await anext(self._events, None)
        if not isinstance(first, Began):
            raise ExpertError(expert, "the stream ended without an answer")
        self.began = first

    def __aiter__(self) -> Reply:
        """The events, from `Began` on."""
        return self

    async def __anext__(self) -> AnswerEvent:
        """The next event, counted."""
        if not self._told:
            self._told = True
            return self.began
        event = await self._events.__anext__()
        if isinstance(event, Piece):
            if not self._streamed:
                self.tokens += _tokens_of(event)
                return event
            self.tokens += 1
            if self.first_at is None:
                self.first_at = time.perf_counter()
        elif isinstance(event, Usage):
            self.usage = event
        return event

    async def whole(self) -> Answer:
        """All of it, put together."""
        fold = Fold()
        async for event in self:
            fold.take(event)
        return fold.answer()


class ExpertClient(Protocol):
    """Asks one expert. The reply has begun when `ask` is entered; leaving it cancels the call."""

    def ask(self, call: Call) -> AbstractAsyncContextManager[Reply]: ...

    async def aclose(self) -> None:
        """Let go of connections."""


def _tokens_of(piece: Piece) -> int:
    """About how many tokens a piece has that came whole."""
    if isinstance(piece, Text | Reasoning):
        return estimated_tokens(piece.text)
    if isinstance(piece, ToolCall):
        return estimated_tokens(_texts(piece.piece.get("function")))
    text = _texts(piece.fields) if isinstance(piece, Other) else ""
    return estimated_tokens(text) if text else 0  # often nothing but `"refusal": null`


def _texts(value: Any) -> str:
    """Every text in a value of JSON, without the names of fields."""
    found, left = [], [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, Mapping | list):
            left += part.values() if isinstance(part, Mapping) else part
    return "".join(found)


@dataclass
class _Choice:
    """One choice that grows with each event."""

    texts: list[str] = field(default_factory=list)
    reasoning: dict[str, list[str]] = field(default_factory=dict)
    tools: dict[int, Json] = field(default_factory=dict)
    others: Json = field(default_factory=dict)
    extra: Json = field(default_factory=dict)
    finish_reason: str | None = None


class Fold:
    """Puts an answer together from its events. Events of other kinds are passed over."""

    def __init__(self, events: Iterable[AnswerEvent] = ()) -> None:
        self._head: Json = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        for event in events:
            self.take(event)

    def take(self, event: object) -> None:
        """Add one event."""
        if isinstance(event, Began):
            self._head = event.head
        elif isinstance(event, Usage):
            self._usage = event
        elif isinstance(event, Text | Reasoning | ToolCall | Other | Finish):
            choice = self._choices.get(event.choice)
            if choice is None:
                choice = self._choices[event.choice] = _Choice()
            _add(choice, event)
            if event.extra:
                _add_extra(choice.extra, event.extra)

    def answer(self) -> Answer:
        """The answer so far."""
        choices = self._choices or {0: _Choice()}
        shown = tuple(_shown(index, choices[index]) for index in sorted(choices))
        return Answer(self._head, shown, self._usage)


def _add(choice: _Choice, event: Text | Reasoning | ToolCall | Other | Finish) -> None:
    if isinstance(event, Text):
        choice.texts.append(event.text)
    elif isinstance(event, Reasoning):
        choice.reasoning.setdefault(event.field, []).append(event.text)
    elif isinstance(event, ToolCall):
        _merge_tool(choice.tools, event)
    elif isinstance(event, Other):
        choice.others.update(event.fields)
    else:
        choice.finish_reason = event.reason or choice.finish_reason


def _merge_tool(tools: dict[int, Json], event: ToolCall) -> None:
    """Names and ids come whole, arguments in pieces."""
    tool = tools.setdefault(event.index, {"type": "function"})
    tool.update({k: v for k, v in event.piece.items() if k not in ("index", "function") and v})
    function = event.piece.get("function")
    if isinstance(function, Mapping):
        known = tool.setdefault("function", {"name": "", "arguments": ""})
        known.update({k: v for k, v in function.items() if k != "arguments" and v})
        if piece := function.get("arguments"):
            before = known["arguments"]
            grows = isinstance(before, str) and isinstance(piece, str)
            known["arguments"] = before + piece if grows else piece  # some send an object


def _add_extra(known: Json, extra: Json) -> None:
    """Lists of log-probabilities grow; of other fields the last value counts."""
    for name, value in extra.items():
        before = known.get(name)
        if name == "logprobs" and isinstance(before, dict) and isinstance(value, dict):
            for kind, tokens in value.items():
                grown = before.get(kind)
                if isinstance(grown, list) and isinstance(tokens, list):
                    grown += tokens  # in place: a copy a token would take quadratic time
                else:
                    before[kind] = _owned(tokens or grown) or None
        elif isinstance(value, dict):
            known[name] = {kind: _owned(tokens) for kind, tokens in value.items()}
        else:
            known[name] = value


def _owned(value: Any) -> Any:
    """A list that may grow: the upstream's own is left as it came."""
    return list(value) if isinstance(value, list) else value


def _shown(index: int, choice: _Choice) -> Json:
    silent = not choice.texts and (choice.tools or choice.others)
    content = None if silent else "".join(choice.texts)
    message: Json = {"role": "assistant", "content": content, **choice.others}
    message.update({name: "".join(texts) for name, texts in choice.reasoning.items()})
    if choice.tools:
        message["tool_calls"] = [choice.tools[i] for i in sorted(choice.tools)]
    return {
        "index": index,
        "message": message,
        "finish_reason": choice.finish_reason,
        **choice.extra,
    }
