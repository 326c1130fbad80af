"""Encode an answer's events as Anthropic's messages, as a stream or as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collegium.errors import CollegiumError
from collegium.experts.aggregation.events import Event, PanelEvent, Started
from collegium.experts.clients.events import Began, Finish, Json, Other, Raw
from collegium.web.errors import anthropic_body, error_body
from collegium.web.protocols.chat_answer import speaker
from collegium.web.protocols.messages_chat import MessagesChat, as_chat
from collegium.web.protocols.messages_request import MessagesRequest
from collegium.web.protocols.messages_usage import messages_usage
from collegium.web.protocols.messages_writer import BlockWriter, whole_blocks
from collegium.web.protocols.sse import named_event
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome, Settled
from collegium.web.serving.shapes import decided_json, panel_json

STOPS = {"length": "max_tokens", "content_filter": "refusal"}
CALLS = ("tool_calls", "function_call")
PING = {"type": "ping"}


@dataclass(frozen=True)
class Messages:
    """A request of the Messages API, as `Parsed`."""

    chat: MessagesChat
    stop_sequences: Sequence[str] = ()
    show_members: bool = False

    @classmethod
    def of(cls, request: MessagesRequest, betas: str | None = None) -> Messages:
        """Parse a body; raise BadRequest if no expert can answer it."""
        show = request.routing.panel.show_members
        return cls(as_chat(request, betas), tuple(request.stop_sequences or ()), show)

    def encoder(self, decided: Decided) -> MessagesEncoder:
        """Return the encoder of a streamed answer."""
        return MessagesEncoder(decided, self)

    def whole(self, decided: Decided) -> WholeMessage:
        """Return the encoder of a whole answer."""
        return WholeMessage(decided, self)


def read_line(body: Mapping[str, Any]) -> Messages:
    """Read a line of a bulk job."""
    return Messages.of(MessagesRequest.model_validate(body))


class Stop:
    """Why an answer ended, in Anthropic's words."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sequences
        self._finish: Finish | None = None
        self._refused = False

    def take(self, event: Event) -> None:
        """Note the events that describe the answer."""
        if isinstance(event, Finish) and event.choice == 0:
            self._finish = event
        elif isinstance(event, Other) and event.fields.get("refusal"):
            self._refused = True

    def told(self, *, called: bool) -> Json:
        """`stop_reason` and `stop_sequence`; `called` says whether a tool was called."""
        reason = self._finish.reason if self._finish is not None else None
        if self._refused or reason in STOPS:
            why = STOPS.get(reason or "", "refusal")
            return {"stop_reason": why, "stop_sequence": None}
        if called or reason in CALLS:
            return {"stop_reason": "tool_use", "stop_sequence": None}
        if (sequence := self._sequence()) is not None:
            return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
        return {"stop_reason": "end_turn", "stop_sequence": None}

    def _sequence(self) -> str | None:
        """The stop sequence that ended the answer, if the upstream reports it, as vLLM does."""
        extra = (self._finish.extra if self._finish is not None else None) or {}
        found = extra.get("stop_reason")
        return found if isinstance(found, str) and found in self._sequences else None


class MessagesEncoder:
    """Encodes one answer. The decision is on the first event, the outcome on the last."""

    def __init__(self, decided: Decided, parsed: Messages) -> None:
        self.expert = decided.decision.expert
        """Under whose name the answer is given: known once it has begun."""
        self.decision = decided.decision
        self._decided = decided
        self._show = parsed.show_members
        self._writer = BlockWriter()
        self._stop = Stop(parsed.stop_sequences)
        self._labels: Json = {"decision": decided_json(decided)}
        self._begun = False
        self._native: NativeEvents | None = None

    def encode(self, event: Event | Settled) -> list[bytes]:
        """The server-sent events that tell of an event."""
        return [named_event(told["type"], told) for told in self._told(event)]

    def failed(self, error: CollegiumError) -> bytes:
        """The error as an event."""
        body = anthropic_body(error_body(error)["error"]["message"], error.http_status)
        return named_event("error", body)

    def ended(self) -> bytes:
        """Anthropic's last event."""
        return named_event("message_stop", {"type": "message_stop"})

    def _told(self, event: Event | Settled) -> list[Json]:
        if isinstance(event, Began):
            self._note(event)
        if self._native is not None:
            return self._native.told(event)
        before = [] if self._begun else self._start()
        if isinstance(event, Settled):
            return [*before, *self._writer.end(), self._end(event.outcome)]
        if isinstance(event, PanelEvent):  # the members are asked: nothing is said yet
            return before or [PING]
        self._stop.take(event)
        return [*before, *self._writer.take(event)]

    def _note(self, event: Began) -> None:
        """Note which expert answers and which were tried before in vain."""
        self.expert = event.expert
        self._labels["expert"] = event.expert
        if event.tried:
            self._labels["decision"] = decided_json(self._decided, event.tried)
            self._labels["tried"] = list(event.tried)
        if event.dropped:
            self._labels["dropped"] = list(event.dropped)
        if event.native:
            self._native = NativeEvents(self._message(), self._decided, show=self._show)

    def _start(self) -> list[Json]:
        self._begun = True
        return [{"type": "message_start", "message": self._message()}, PING]

    def _message(self) -> Json:
        """The message before any content. Its input tokens are counted once it is complete."""
        tokens = self._decided.request.query.prompt_tokens or 0
        return {
            "id": f"msg_{self.decision.id}",
            "type": "message",
            "role": "assistant",
            "model": self.expert,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": messages_usage({"prompt_tokens": tokens}),
            "collegium": self._labels,
        }

    def _end(self, outcome: Outcome) -> Json:
        return {
            "type": "message_delta",
            "delta": self._stop.told(called=self._writer.called),
            "usage": messages_usage(_counted(outcome)),
            "collegium": _labels(self._decided, outcome, show=self._show),
        }


class NativeEvents:
    """Passes on an upstream's own events with our names and labels."""

    def __init__(self, message: Json, decided: Decided, *, show: bool) -> None:
        self._message = message
        self._decided = decided
        self._show = show
        self._last: Json | None = None

    def told(self, event: Event | Settled) -> list[Json]:
        """The events to send; the one that ends the message waits for the outcome."""
        if isinstance(event, Settled):
            labels = _labels(self._decided, event.outcome, show=self._show)
            return [] if self._last is None else [{**self._last, "collegium": labels}]
        if not isinstance(event, Raw) or event.fields.get("type") == "message_stop":
            return []
        return self._raw(event.fields)

    def _raw(self, fields: Json) -> list[Json]:
        if fields["type"] == "message_start":
            ours = {name: self._message[name] for name in ("id", "model", "collegium")}
            return [{**fields, "message": {**fields["message"], **ours}}]
        if fields["type"] == "message_delta":
            before, self._last = self._last, fields
            return [] if before is None else [before]
        return [fields]


class WholeMessage:
    """Puts one answer together as a whole message."""

    def __init__(self, decided: Decided, parsed: Messages) -> None:
        self._decided = decided
        self._show = parsed.show_members
        self._writer = BlockWriter()
        self._stop = Stop(parsed.stop_sequences)
        self._told: list[Json] = []
        self._later: list[Event] = []
        self._experts: dict[int, str] = {}
        self._raw: Json | None = None

    def take(self, event: Event) -> None:
        """Add an event."""
        if isinstance(event, Raw):
            self._raw = event.fields
        elif isinstance(event, Started):
            self._experts[event.seat] = event.expert
        elif not isinstance(event, PanelEvent):
            self._stop.take(event)
            self._told += self._writer.take(event)

    def body(self, outcome: Outcome) -> Json:
        """The message."""
        content = whole_blocks([*self._told, *self._writer.end()])
        message = self._raw or {
            "type": "message",
            "role": "assistant",
            "content": content,
            **self._stop.told(called=self._writer.called),
            "usage": messages_usage(_counted(outcome)),
        }
        labels = {"decision": decided_json(self._decided, outcome.shown.get("tried"))}
        labels |= _labels(self._decided, outcome, show=self._show)
        return {
            **message,
            "id": f"msg_{self._decided.decision.id}",
            "model": speaker(outcome, self._experts),
            "collegium": labels,
        }


def _counted(outcome: Outcome) -> Json:
    """Return the usage that the upstream reported, or our own count."""
    if (usage := outcome.usage) is not None:
        return usage
    return {name: outcome.shown.get(name) for name in ("prompt_tokens", "completion_tokens")}


def _labels(decided: Decided, outcome: Outcome, *, show: bool) -> dict[str, Any]:
    panel = {"panel": panel_json(outcome, show=show)} if decided.by_panel else {}
    return {**panel, "outcome": outcome.shown}
