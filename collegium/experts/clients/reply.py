"""One reply of an expert: its events as they arrive, or the whole answer."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, Literal, Protocol

from msgspec import structs

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
from collegium.experts.clients.native import Native
from collegium.registry.expert import Expert

NOTHING = "the stream ended without an answer"
RESULTS = ("data", "results")
"""Fields of embeddings and of rankings: what is in them was not written by a model."""
Role = Literal["member", "aggregator", "judge", "verifier"]


@dataclass(frozen=True)
class Call:
    """One request to one expert."""

    expert: Expert
    body: Mapping[str, Any]
    """The request in the shape of OpenAI's chat completions, without `model` and `stream`."""
    role: Role = "member"
    seat: int = 0
    """Unique among the calls of one answer."""
    stream: bool = False
    """Whether the answer is streamed."""
    instead: tuple[Expert, ...] = ()
    """Experts that may answer if this one fails before it begins, best first."""
    native: Native | None = None
    """The original request, if it came through another protocol or endpoint."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers to send, such as `traceparent`."""


@dataclass
class Waits:
    """How long a call waited before it was sent, seconds; filled in on its way."""

    queued_s: float | None = None
    """Seconds in the expert's queue; None before its turn."""
    loaded_s: float = 0.0
    """Seconds until the engine was loaded, if engines take turns."""

    @property
    def total_ms(self) -> float | None:
        """The total wait in milliseconds; None before its turn."""
        return None if self.queued_s is None else 1000 * (self.queued_s + self.loaded_s)


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    head: Json
    choices: tuple[Json, ...]
    """In OpenAI's format: `index`, `message`, `finish_reason` and further upstream fields."""
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return str(self.choices[0]["message"].get("content") or "")

    def body(self) -> Json:
        """The answer in the shape of OpenAI's chat completions, without `model`."""
        usage = {} if self.usage is None else {"usage": self.usage.fields}
        return {**self.head, "choices": list(self.choices), **usage}


class Reply:
    """An answer that an expert gives. Iterate over its events once, or ask for the `whole`."""

    def __init__(
        self,
        events: AsyncIterator[AnswerEvent],
        *,
        streamed: bool = True,
        dropped: tuple[str, ...] = (),
        late: Sequence[AnswerEvent] = (),
    ) -> None:
        """`dropped` names the parameters of the request that its upstream did not get.

        `late` gets the events that had come when nobody waited for them any more.
        """
        self.began = Began("")
        self.waits = Waits()
        self.usage: Usage | None = None
        self.tokens = 0
        """Estimated tokens so far: one per piece, or by the length of a whole answer."""
        self.first_at: float | None = None
        """When the first piece arrived (`time.perf_counter`); None for an answer that came as a
        whole.
        """
        self.streamed = self._streamed = streamed
        self.events = events
        """The client's events from `Began` on, uncounted, for wrapping the reply in another one."""
        self.dropped = dropped
        self._told = False
        self._said = StringIO()
        self._held: deque[AnswerEvent] = deque()
        self._late = late
        self.finished = False
        """Whether the upstream has said that a choice has come to its end, or what it used."""

    async def begin(self, expert: str, by: float | None = None) -> None:
        """Return once the expert has begun to answer, or has ended with an empty answer.

        ExpertError when it fails before that: then another may answer, for nobody has read a word.
        TimeoutError when its first chunk has not come `by` then; it may think longer than that.
        """
        async with asyncio.timeout_at(by):
            first = await anext(self.events, None)
        if not isinstance(first, Began):
            raise ExpertError(expert, NOTHING)
        self.began = structs.replace(first, dropped=self.dropped) if self.dropped else first
        while self._streamed:
            event = await anext(self.events, None)
            if event is None:
                return
            self._held.append(event)
            if isinstance(event, Finish) or says_something(event):
                return

    def __aiter__(self) -> Reply:
        """The events, from `Began` on."""
        return self

    async def __anext__(self) -> AnswerEvent:
        """The next event, counted."""
        if not self._told:
            self._told = True
            return self.began
        event = self._held.popleft() if self._held else await self.events.__anext__()
        self._note(event)
        return event

    def overhear(self) -> None:
        """Count also what came and was not read: of a reply that was left before its end."""
        for event in (*self._held, *self._late):
            self._note(event)
        self._held.clear()
        self._late = ()

    def _note(self, event: AnswerEvent) -> None:
        if isinstance(event, Piece):
            self._said.write(event.text if isinstance(event, Text) else _words(event))
            if not self._streamed:
                self.tokens += _tokens_of(event)
                return
            self.tokens += 1
            if self.first_at is None:
                self.first_at = time.perf_counter()
        elif isinstance(event, Usage):
            self.usage, self.finished = event, self.finished or self.tokens > 0
        elif isinstance(event, Finish):
            self.finished = True

    @property
    def text(self) -> str:
        """The text so far, including reasoning and tool calls."""
        return self._said.getvalue()

    async def whole(self) -> Answer:
        """Return the whole answer."""
        fold = Fold()
        async for event in self:
            fold.take(event)
        return fold.answer()


def says_something(event: AnswerEvent) -> bool:
    """Whether an event is content that a reader sees: not a role, nor an empty text."""
    if isinstance(event, Text | Reasoning):
        return bool(event.text)
    return isinstance(event, ToolCall | Other)


class ExpertClient(Protocol):
    """Asks one expert. The reply has begun when `ask` is entered; leaving it cancels the call."""

    def ask(self, call: Call) -> AbstractAsyncContextManager[Reply]: ...

    async def aclose(self) -> None:
        """Let go of connections."""


def _tokens_of(piece: Piece) -> int:
    """About how many tokens a piece has that came whole."""
    words = _words(piece)
    return estimated_tokens(words) if words or isinstance(piece, Text | Reasoning) else 0


def _words(piece: Piece) -> str:
    """Return the text of a piece without field names."""
    if isinstance(piece, Other) and not piece.fields.keys().isdisjoint(RESULTS):
        return ""
    if isinstance(piece, Text | Reasoning):
        return piece.text
    if isinstance(piece, ToolCall):
        return _texts(piece.piece.get("function"))
    return _texts(piece.fields) if isinstance(piece, Other) else ""


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
    thoughts: list[Json] = field(default_factory=list)
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
        thoughts = event.fields.get("thinking_blocks")
        refused = choice.others.get("refusal")
        choice.others.update(event.fields)
        if isinstance(refused, str) and isinstance(told := event.fields.get("refusal"), str):
            choice.others["refusal"] = refused + told
        if isinstance(thoughts, list):
            choice.others["thinking_blocks"] = _add_thoughts(choice.thoughts, thoughts)
    else:
        choice.finish_reason = event.reason or choice.finish_reason


def _add_thoughts(known: list[Json], pieces: Iterable[Any]) -> list[Json]:
    """Anthropic's thinking blocks grow until they are signed."""
    for piece in pieces:
        if not isinstance(piece, Mapping):
            continue
        last = known[-1] if known else {}
        if "thinking" in piece and "thinking" in last and not last.get("signature"):
            last["thinking"] = f"{last['thinking']}{piece['thinking']}"
            last |= {"signature": piece["signature"]} if piece.get("signature") else {}
        else:
            known.append(dict(piece))
    return known


def _merge_tool(tools: dict[int, Json], event: ToolCall) -> None:
    """Merge a piece of a tool call: names and ids come once, arguments in pieces."""
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
