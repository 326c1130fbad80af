"""Encode an answer's events as OpenAI's chat completions, in chunks or as a whole."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collegium.errors import CollegiumError
from collegium.experts.aggregation.events import Event, PanelEvent, Said, Started
from collegium.experts.clients.events import (
    Began,
    Finish,
    Json,
    Other,
    Piece,
    Reasoning,
    Text,
    ToolCall,
)
from collegium.experts.clients.reply import Fold
from collegium.web.errors import error_body
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.protocols.sse import data_event
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome, Settled
from collegium.web.serving.shapes import decided_json, event_json, panel_json

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Chat:
    """A chat completion request, as `Parsed`."""

    chat: ChatRequest

    def encoder(self, decided: Decided) -> ChatEncoder:
        """Return the encoder of a streamed answer."""
        return ChatEncoder(decided, self.chat)

    def whole(self, decided: Decided) -> WholeChat:
        """Return the encoder of a whole answer."""
        return WholeChat(decided, self.chat)


class ChatEncoder:
    """Encodes one answer. The decision is on the first chunk, the outcome on the last."""

    def __init__(self, decided: Decided, body: ChatRequest) -> None:
        self.expert = decided.decision.expert
        """Under whose name the answer is given: known once it has begun."""
        self.decision = decided.decision
        self._decided = decided
        self._usage = body.wants_usage()
        self._show = body.routing.panel.show_members
        self._logprobs = bool(getattr(body, "logprobs", False)) or not decided.by_panel
        self._head: Json = {
            "id": f"chatcmpl-{decided.decision.id}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self.expert,
        }
        self._experts: dict[int, str] = {}
        self._has_role: set[int] = set()
        self._labels: Json = {"decision": decided_json(decided)}
        self._labelled = False
        self._last: Json | None = None
        """The choice that ends the answer, held back until the outcome is known."""

    def encode(self, event: Event | Settled) -> list[bytes]:
        """The chunks that tell of an event, as server-sent events."""
        return [data_event(chunk) for chunk in self._chunks(event)]

    def failed(self, error: CollegiumError) -> bytes:
        """The error in the place of a chunk."""
        return data_event(error_body(error))

    def ended(self) -> bytes:
        """OpenAI's last line."""
        return DONE

    def _chunks(self, event: Event | Settled) -> list[Json]:
        if isinstance(event, Piece):
            return [self._chunk(self._choice(event))]
        if isinstance(event, PanelEvent):
            return self._of_panel(event)
        if isinstance(event, Finish):
            before, self._last = self._last, self._finish(event)
            return [] if before is None else [self._chunk(before)]
        if isinstance(event, Began):
            self._begin(event)
        return self._end(event.outcome) if isinstance(event, Settled) else []

    def _begin(self, event: Began) -> None:
        """Note the head of the reply and the experts that were tried before in vain."""
        self.expert = event.expert
        head = {k: v for k, v in event.head.items() if v is not None}
        self._head |= head | {"model": event.expert}
        self._labels["expert"] = event.expert
        if event.tried:
            self._labels["decision"] = decided_json(self._decided, event.tried)
            self._labels["tried"] = list(event.tried)
        if event.dropped:
            self._labels["dropped"] = list(event.dropped)

    def _of_panel(self, event: PanelEvent) -> list[Json]:
        if isinstance(event, Started):
            self._experts[event.seat] = event.expert
        self._head["model"] = self._experts.get(event.seat, self.expert)
        if isinstance(event, Said) and not self._show:
            return []
        return [self._chunk(_choice({}), panel=event_json(event, show=self._show))]

    def _choice(self, event: Piece) -> Json:
        delta = self._with_role(event.choice, _delta(event))
        choice = _choice(delta, event.choice)
        return choice if event.extra is None else choice | self._extra(event.extra)

    def _finish(self, event: Finish) -> Json:
        reason = event.reason or ("stop" if self._decided.by_panel else None)
        delta = self._with_role(event.choice, {})
        return {**_choice(delta, event.choice, reason), **self._extra(event.extra or {})}

    def _with_role(self, index: int, delta: Json) -> Json:
        """The first delta of each choice names the role."""
        if index in self._has_role:
            return delta
        self._has_role.add(index)
        return {"role": "assistant", **(delta or {"content": ""})}

    def _extra(self, extra: Json) -> Json:
        if self._logprobs:
            return {name: value for name, value in extra.items() if value is not None}
        return {k: v for k, v in extra.items() if k != "logprobs" and v is not None}

    def _end(self, outcome: Outcome) -> list[Json]:
        labels: Json = {"outcome": outcome.shown}
        if self._decided.by_panel:
            labels = {"panel": panel_json(outcome, show=self._show), **labels}
        chunks = [self._chunk(self._last or self._finish(Finish(None)), **labels)]
        if self._usage and (usage := outcome.usage) is not None:
            chunks.append({**self._head, "choices": [], "usage": usage})
        return chunks

    def _chunk(self, choice: Json, **labels: Any) -> Json:
        chunk = {**self._head, "choices": [choice]}
        if not self._labelled:  # the first chunk says who was chosen to answer, and why
            self._labelled = True
            route = self._decided.decision.policy
            metadata = {"route": route, "model": self.expert, "provider": "collegium"}
            return {**chunk, "x-router-metadata": metadata, "collegium": self._labels | labels}
        return {**chunk, "collegium": labels} if labels else chunk


class WholeChat:
    """Puts one answer together as a whole chat completion."""

    def __init__(self, decided: Decided, body: ChatRequest) -> None:
        self._decided = decided
        self._show = body.routing.panel.show_members
        self._logprobs = bool(getattr(body, "logprobs", False)) or not decided.by_panel
        self._experts: dict[int, str] = {}
        self._fold = Fold()

    def take(self, event: Event) -> None:
        """Add an event."""
        if isinstance(event, Started):
            self._experts[event.seat] = event.expert
        self._fold.take(event)

    def body(self, outcome: Outcome) -> Json:
        """The chat completion."""
        answer, decided = self._fold.answer(), self._decided
        choices = list(answer.choices)
        if not self._logprobs:
            choices = [{k: v for k, v in c.items() if k != "logprobs"} for c in choices]
        labels: Json = {"decision": decided_json(decided, outcome.shown.get("tried"))}
        if decided.by_panel:
            labels["panel"] = panel_json(outcome, show=self._show)
        usage = {} if outcome.usage is None else {"usage": outcome.usage}
        return {
            "id": f"chatcmpl-{decided.decision.id}",
            "object": "chat.completion",
            "created": int(time.time()),
            **answer.head,
            "model": speaker(outcome, self._experts),
            "choices": choices,
            **usage,
            "collegium": {**labels, "outcome": outcome.shown},
        }


def speaker(outcome: Outcome, seats: Mapping[int, str]) -> str:
    """Return the expert whose answer it is: of a panel, the one on the chosen seat."""
    if outcome.decided.by_panel and outcome.chosen is not None:
        return seats.get(outcome.chosen.seat, outcome.answered_by)
    return outcome.answered_by


def _delta(event: Piece) -> Json:
    if isinstance(event, Text):
        return {"content": event.text}
    if isinstance(event, ToolCall):
        return {"tool_calls": [{**event.piece, "index": event.index}]}
    if isinstance(event, Reasoning):
        return {event.field: event.text}
    assert isinstance(event, Other)
    return {name: value for name, value in event.fields.items() if value}


def _choice(delta: Json, index: int = 0, finish_reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}
