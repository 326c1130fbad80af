"""Dispatch requests to experts in turn, and track the experts' health."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from collegium.errors import (
    CollegiumError,
    ExpertError,
)
from collegium.experts.clients.reply import Waits
from collegium.experts.dispatch.breaker import Breakers, State
from collegium.experts.dispatch.place import Pace, Place
from collegium.experts.dispatch.terms import Terms
from collegium.registry.expert import Expert
from collegium.registry.state import SharedState

if TYPE_CHECKING:
    from collegium.experts.dispatch.shared_slots import SharedSlots


@dataclass(frozen=True)
class Spot:
    """Where an expert is asked: a place with slots, and the name of its circuit breaker."""

    place: str
    slots: int
    circuit: str
    shared_as: str | None = None
    """The name under which all processes that use the place count its slots; None if this process
    alone uses it. Replicas share endpoints, and the workers of a service its engines."""


class Turn:
    """One request's turn at an expert."""

    def __init__(self, pace: Pace) -> None:
        self.began = False
        self._pace = pace
        self._started = time.monotonic()

    def first(self) -> None:
        """The answer begins."""
        if not self.began:
            self.began = True
            self._pace.began(time.monotonic() - self._started)


class Dispatcher:
    """All places and circuits; with shared state, replicas share their knowledge."""

    def __init__(
        self, state: SharedState | None = None, *, depth: int = 128, patience_s: float = 120.0
    ) -> None:
        self._depth = depth
        self._patience_s = patience_s
        self._places: dict[str, Place] = {}
        self._paces: dict[str, Pace] = {}
        self._shared, self._own = Breakers(state), Breakers()
        self._slots = _shared_slots(state) if state else None

    @asynccontextmanager
    async def turn(
        self, expert: Expert, spot: Spot, terms: Terms, waits: Waits
    ) -> AsyncGenerator[Turn]:
        """Wait for a turn, have it, and note how it ended.

        Raises ExpertBusy where the queue is full or too slow, ExpertUnavailable or RateLimited
        where the expert is left alone, unless the request is a probe.
        """
        breakers, pace = self._breakers(spot), self.pace(expert.name)
        turn = Turn(pace)
        refusal = breakers.refusal(spot.circuit, expert.name, terms.caller)
        if refusal is not None and not terms.probe:
            raise refusal  # not worth waiting for
        came, place = time.monotonic(), self._place(spot)
        await place.enter(expert.name, terms, pace)
        try:
            async with self._shared_slot(expert.name, spot, terms):
                started = time.monotonic()
                waits.queued_s = started - came
                if not terms.probe:
                    await breakers.enter(spot.circuit, expert.name, terms.caller)
                try:
                    yield turn
                except BaseException as exc:  # also when cancelled: a probe must be let go
                    ended = _note(breakers, spot.circuit, exc, terms.caller, began=turn.began)
                    await asyncio.shield(ended)
                    raise
                pace.served(time.monotonic() - started)
                succeeded = breakers.forgiven if terms.probe else breakers.succeeded
                await succeeded(spot.circuit)
        finally:
            place.leave(terms.caller)

    async def began(self, spot: Spot, turn: Turn) -> None:
        """The answer has begun. Whether it succeeds is known at its end, but a probe that takes
        minutes need not keep others from trying.
        """
        turn.first()
        await self._breakers(spot).let_go(spot.circuit)

    def pace(self, expert: str) -> Pace:
        """Return the measured speed of an expert."""
        return self._paces.setdefault(expert, Pace())

    async def forgive(self, spot: Spot) -> None:
        """Allow an expert again, since it was seen to answer: end its rest and its pause."""
        await self._breakers(spot).forgiven(spot.circuit)

    def refusal(self, expert: Expert, spot: Spot, caller: str = "") -> ExpertError | None:
        """Return why an expert may not be asked by a caller now; None if it may."""
        return self._breakers(spot).refusal(spot.circuit, expert.name, caller)

    def is_idle(self, spot: Spot) -> bool:
        """Whether a request would have its turn at once."""
        place = self._place(spot)
        return place.busy < place.slots

    def resize(self, name: str, slots: int) -> None:
        """A place has more slots or fewer."""
        if (place := self._places.get(name)) is not None:
            place.resize(slots)

    def waiting(self) -> Mapping[str, int]:
        """Return the number of queued requests of each expert."""
        return {name: n for place in self._places.values() for name, n in place.waiting.items()}

    def busy(self) -> Mapping[str, int]:
        """Return the number of occupied slots of each place."""
        return {name: place.busy for name, place in self._places.items()}

    def circuits(self) -> Mapping[str, State]:
        """Return each expert's breaker."""
        states = self._own.states() | self._shared.states()
        return {key.split(" on ")[0]: state for key, state in states.items()}

    def pauses(self) -> Mapping[str, float]:
        """Return the seconds until each expert's provider takes requests again; 0 when it does."""
        pauses = {**self._own.pauses(), **self._shared.pauses()}
        return {key.split(" on ")[0]: pause_s for key, pause_s in pauses.items()}

    async def aclose(self) -> None:
        """Tell the other replicas that the slots are free."""
        if self._slots is not None:
            await self._slots.aclose()

    def _shared_slot(
        self, expert: str, spot: Spot, terms: Terms
    ) -> AbstractAsyncContextManager[None]:
        """A slot of an endpoint that other replicas ask as well."""
        if self._slots is None or spot.shared_as is None:
            return nullcontext()
        return self._slots.held(spot.shared_as, expert, spot.slots, terms, self._patience_s)

    def _place(self, spot: Spot) -> Place:
        place = self._places.get(spot.place)
        if place is None:
            place = self._places[spot.place] = Place(spot.slots, self._depth, self._patience_s)
        place.slots = spot.slots
        return place

    def _breakers(self, spot: Spot) -> Breakers:
        return self._own if spot.shared_as is None else self._shared


def _shared_slots(state: SharedState) -> SharedSlots:
    from collegium.experts.dispatch.shared_slots import SharedSlots

    return SharedSlots(state, secrets.token_hex(8))


def is_failure(exc: BaseException) -> TypeGuard[ExpertError]:
    """Whether an error speaks against the expert, and not against the request or its haste."""
    return isinstance(exc, ExpertError) and exc.http_status >= 500


async def _note(
    breakers: Breakers, circuit: str, exc: BaseException, caller: str, *, began: bool
) -> None:
    if isinstance(exc, ExpertError) and exc.rest_s:
        await breakers.rest(circuit, exc.rest_s)
    if is_failure(exc):
        # That nothing listens is nobody's doing; what else fails may be for what one caller sends.
        await breakers.failed(circuit, "" if exc.unreachable else caller)
    elif began or isinstance(exc, CollegiumError):
        # It answered until its client left, or it understood and refused: it lives.
        await breakers.succeeded(circuit)
    else:
        await breakers.let_go(circuit)
