"""Encode an answer's events as a response, as a stream or as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from collegium.errors import CollegiumError
from collegium.experts.aggregation.events import Event
from collegium.experts.clients.events import Began, Json, Raw
from collegium.experts.clients.usage import tokens_of
from collegium.web.errors import error_body
from collegium.web.protocols.responses.asked import Asked
from collegium.web.protocols.responses.native import NativeOutput
from collegium.web.protocols.responses.open_items import Sent
from collegium.web.protocols.responses.output import Output
from collegium.web.protocols.sse import named_event
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome, Settled
from collegium.web.serving.shapes import decided_json, panel_json

CODES = {"rate_limit_error": "rate_limit_exceeded", "invalid_request_error": "invalid_prompt"}
"""Error codes of the API for our error types."""
OURS = (
    "id", "created_at", "model", "output", "previous_response_id", "store", "background",
    "instructions", "tools", "tool_choice", "metadata",
)  # fmt: skip
"""Fields that no upstream says of a response: its names, and what was asked for here."""


class ResponseEncoder:
    """Encodes one answer. The decision is on the first event, the outcome on the last."""

    def __init__(self, decided: Decided, asked: Asked) -> None:
        self.expert = decided.decision.expert
        """Under whose name the answer is given: known once it has begun."""
        self.decision = decided.decision
        self._decided = decided
        self._asked = asked
        self._output = asked.output()
        self._native: NativeOutput | None = None
        self._sent = 0

    def encode(self, event: Event | Settled) -> list[bytes]:
        """The server-sent events that tell of an event."""
        if isinstance(event, Settled):
            return self._end(event.outcome)
        begun = [] if self._sent else self._begin(event)
        if self._native is None:
            return begun + self._events(self._output.take(event))
        return begun + self._events(
            self._native.take(event.fields) if isinstance(event, Raw) else []
        )

    def failed(self, error: CollegiumError) -> bytes:
        """The error, and the response that has failed of it."""
        told = error_body(error)["error"]
        items = self._output.items if self._native is None else self._native.items
        response = self._asked.response("failed", self.expert, items) | {"store": False}
        code = CODES.get(told["type"], "server_error")
        if told["code"] == "context_length_exceeded":  # Codex shortens the conversation then
            code = told["code"]
        response["error"] = {"code": code, "message": told["message"]}
        # OpenAI documents the fields beside `type`, and sends them in `error`: clients read either.
        words = {name: told[name] for name in ("code", "message", "param")}
        first = self._event("error", **words, error=told)
        return first + self._event("response.failed", response=response)

    def ended(self) -> bytes:
        """Return nothing: the last event ends the stream."""
        return b""

    def _begin(self, event: Event) -> list[bytes]:
        labels: Json = {"decision": decided_json(self._decided)}
        if isinstance(event, Began):
            self._native = NativeOutput(self._asked.id) if event.native else None
            self.expert = labels["expert"] = event.expert
            if event.tried:
                labels["decision"] = decided_json(self._decided, event.tried)
                labels["tried"] = list(event.tried)
            if event.dropped:
                labels["dropped"] = list(event.dropped)
        response = self._asked.response("in_progress", self.expert)
        return [
            self._event("response.created", response=response, collegium=labels),
            self._event("response.in_progress", response=response),
        ]

    def _end(self, outcome: Outcome) -> list[bytes]:
        left = [] if self._native is not None else self._events(self._output.close())
        response = response_json(self._asked, self._decided, outcome, self._native or self._output)
        labels = {k: v for k, v in response["collegium"].items() if k != "decision"}
        name = f"response.{response['status']}"
        return [*left, self._event(name, response=response, collegium=labels)]

    def _events(self, sent: Iterable[Sent]) -> list[bytes]:
        return [self._event(f"response.{name}", **fields) for name, fields in sent]

    def _event(self, name: str, /, **fields: Any) -> bytes:
        event = {"type": name, "sequence_number": self._sent, **fields}
        self._sent += 1
        return named_event(name, event)


class WholeResponse:
    """Puts one answer together as a whole response."""

    def __init__(self, decided: Decided, asked: Asked) -> None:
        self._decided = decided
        self._asked = asked
        self._output = asked.output()
        self._native: NativeOutput | None = None

    def take(self, event: Event) -> None:
        """Add an event."""
        if isinstance(event, Began) and event.native:
            self._native = NativeOutput(self._asked.id)
        elif self._native is None:
            self._output.take(event)
        elif isinstance(event, Raw):
            self._native.take(event.fields)

    def body(self, outcome: Outcome) -> Json:
        """The response."""
        if self._native is None:
            self._output.close()
        return response_json(self._asked, self._decided, outcome, self._native or self._output)


def response_json(
    asked: Asked, decided: Decided, outcome: Outcome, output: NativeOutput | Output
) -> Json:
    """Return a complete response with our labels."""
    labels: Json = {"decision": decided_json(decided, outcome.shown.get("tried"))}
    if decided.by_panel:
        show = asked.request.routing.panel.show_members
        labels["panel"] = panel_json(outcome, show=show)
    if isinstance(output, NativeOutput):
        told = _natively(asked, outcome, output.response)
    else:
        status = "incomplete" if output.cut else "completed"
        told = asked.response(status, outcome.answered_by, output.items)
        told["incomplete_details"] = {"reason": output.cut} if output.cut else None
        told["usage"] = usage_json(outcome)
    return {**told, "collegium": {**labels, "outcome": outcome.shown}}


def _natively(asked: Asked, outcome: Outcome, response: Json) -> Json:
    """Combine an upstream's own response with our view of the request."""
    ours = asked.response(response["status"], outcome.answered_by, response["output"])
    theirs = {k: v for k, v in response.items() if v is not None or k not in ours}
    usage = usage_json(outcome) if outcome.usage is None else response["usage"]
    return {**ours, **theirs, **{name: ours[name] for name in OURS}, "usage": usage}


def usage_json(outcome: Outcome) -> Json:
    """Return usage in this API's format: as the upstream reported it, or as counted here."""
    told = outcome.counted if outcome.usage is None else tokens_of(outcome.usage)
    cache = {"cached_tokens": told.cached, "cache_write_tokens": told.cache_write}
    return {
        "input_tokens": told.input,
        "input_tokens_details": cache,
        "output_tokens": told.output,
        "output_tokens_details": {"reasoning_tokens": told.reasoning},
        "total_tokens": told.input + told.output,
    }
