"""The interface of every protocol: a request as a chat, and an encoder for its answer's events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol, TypeVar

from collegium.errors import CollegiumError
from collegium.experts.aggregation.events import Event
from collegium.experts.clients.events import Json
from collegium.router.decision import Decision
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome, Settled

Answer = TypeVar("Answer")
Events = AsyncGenerator[Event | Settled]
"""The events that `Pipeline.run` yields."""
Keep = Callable[[Decided, Json], Awaitable[None]]
"""Stores the body of a complete answer, if its protocol wants that."""


class Encoder(Protocol):
    """Writes one streamed answer as server-sent events, each of them whole and ready to send."""

    decision: Decision
    expert: str
    """Under whose name the answer is given: known once it has begun."""

    def encode(self, event: Event | Settled) -> list[bytes]:
        """The server-sent events that tell of an event: often one, sometimes none."""

    def failed(self, error: CollegiumError) -> bytes:
        """The event that ends an answer which failed after it had begun."""

    def ended(self) -> bytes:
        """Return what follows the last event of a complete answer."""


class Whole(Protocol):
    """Puts one answer together, for callers that don't stream."""

    def take(self, event: Event) -> None:
        """Add an event."""

    def body(self, outcome: Outcome) -> Json:
        """Return the answer's body after the last event."""


class Parsed(Protocol):
    """A request that was read and checked, whichever protocol it came by."""

    @property
    def chat(self) -> ChatRequest:
        """The request as a chat completion, which is routed, dispatched and accounted for."""

    def encoder(self, decided: Decided) -> Encoder:
        """Return the encoder of a streamed answer."""

    def whole(self, decided: Decided) -> Whole:
        """Return the encoder of a whole answer."""


async def kept(events: Events, answer: Whole, keep: Keep) -> Events:
    """Pass on the events; the last one is passed on after the answer's body has been stored."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Settled):
                await keep(event.outcome.decided, answer.body(event.outcome))
            else:
                answer.take(event)
            yield event


async def whole_answer(answer: Whole, events: Events) -> tuple[Json, Outcome]:
    """Return the answer's body and its outcome, after the last event."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Settled):
                return answer.body(event.outcome), event.outcome
            answer.take(event)
    raise AssertionError("the events ended without an outcome")
