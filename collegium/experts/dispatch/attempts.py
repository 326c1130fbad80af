"""One request's way through its candidates: the first expert that begins to answer, answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from collegium.errors import ExpertError
from collegium.experts.client import Json
from collegium.experts.dispatch.dispatcher import Dispatcher, Spot, is_failure
from collegium.experts.dispatch.terms import ANY_TIME, Terms, Tried
from collegium.registry.expert import Expert

MOST_ATTEMPTS = 3
"""A pool that is down as a whole should not get each request many times over."""
TOO_MANY = 429

Begun = TypeVar("Begun")
Start = Callable[[Expert, Terms], Awaitable[Begun]]
End = Callable[[Begun], Awaitable[None]]
Stream = tuple[Json | None, AsyncIterator[Json]]


class Asked(Protocol):
    """What answers a request when it is the request's turn: the pool."""

    dispatcher: Dispatcher

    async def complete(self, expert: Expert, body: Mapping[str, Any], terms: Terms) -> Json: ...

    def stream(
        self, expert: Expert, body: Mapping[str, Any], terms: Terms
    ) -> AsyncIterator[Json]: ...

    def spot(self, expert: Expert) -> Spot: ...


class Attempts:
    """Asks the candidates in their order. Nothing is asked again once an answer has begun."""

    def __init__(self, pool: Asked, candidates: Sequence[Expert], terms: Terms = ANY_TIME) -> None:
        self.expert = candidates[0]
        """Who answers, or was asked first while nobody does."""
        self.tried: list[Tried] = []
        """Who else was asked, and why that became nothing."""
        self.waited_s: float | None = None
        """In the queue of who was asked last; None while nobody had a turn for it."""
        self.loaded_s = 0.0
        """How long of its time it waited until the engine was loaded of who was asked last."""
        self._pool = pool
        self._candidates = candidates[:MOST_ATTEMPTS]
        self._terms = replace(terms, on_turn=self._turn, on_loaded=self._loaded)

    async def complete(self, body: Mapping[str, Any]) -> Json:
        """The whole answer."""

        async def start(expert: Expert, terms: Terms) -> Json:
            return await self._pool.complete(expert, body, terms)

        return await self._win(start, _nothing)

    async def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Json]:
        """The answer's chunks, all of one expert; a failure after the first one is raised."""

        async def start(expert: Expert, terms: Terms) -> Stream:
            chunks = self._pool.stream(expert, body, terms)
            try:
                return await anext(chunks, None), chunks
            except BaseException:  # also when cancelled: the expert must stop
                await _close(chunks)
                raise

        async def end(stream: Stream) -> None:
            await _close(stream[1])

        first, chunks = await self._win(start, end)
        try:
            if first is not None:
                yield first
            async for chunk in chunks:
                yield chunk
        finally:  # closing the connection makes the expert stop
            await _close(chunks)

    async def _win(self, start: Start[Begun], end: End[Begun]) -> Begun:
        left, error = list(self._candidates), None
        while left:
            self.expert = expert = left.pop(0)
            self.loaded_s = 0.0
            try:
                delay_s = self._hedge_after_s(expert)
                if delay_s is None:
                    return await self._attempt(expert, start)
                return await self._hedged(expert, left, delay_s, start, end)
            except ExpertError as exc:
                if not moves_on(exc):
                    raise
                error = error or exc
        assert error is not None
        self.expert = self._candidates[0]
        raise error

    async def _attempt(self, expert: Expert, start: Start[Begun]) -> Begun:
        began = time.monotonic()
        try:
            return await start(expert, self._terms)
        except ExpertError as exc:
            if moves_on(exc):
                self._note(expert, exc.code, str(exc), began)
            raise

    async def _hedged(
        self,
        expert: Expert,
        left: list[Expert],
        delay_s: float,
        start: Start[Begun],
        end: End[Begun],
    ) -> Begun:
        """Ask one; when it is late, also the next; the first that begins wins, the other ends."""
        began = time.monotonic()
        running = {asyncio.create_task(self._attempt(expert, start)): expert}
        error: ExpertError | None = None
        try:
            done, _ = await asyncio.wait(running, timeout=delay_s)
            if not done and (second := self._second(expert, left)) is not None:
                if second in left:
                    left.remove(second)
                running[asyncio.create_task(self._attempt(second, start))] = second
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                task = next(iter(done))
                asked = running.pop(task)
                try:
                    begun: Begun = task.result()
                except ExpertError as exc:
                    error = error if error is not None and moves_on(exc) else exc
                    continue
                for slower in running.values():
                    words = f"{asked.name} began before it"
                    self._note(slower, "slower", words, began)
                self.expert = asked
                return begun
        finally:
            await _abandon(list(running), end)
        assert error is not None
        raise error

    def _second(self, expert: Expert, left: Sequence[Expert]) -> Expert | None:
        """Who to ask as well: the next candidate, else the same; nobody where that is busy."""
        for other in (*left, expert):
            try:
                if self._pool.dispatcher.is_idle(self._pool.spot(other)):
                    return other
            except ExpertError:
                continue
        return None

    def _hedge_after_s(self, expert: Expert) -> float | None:
        if not self._terms.hedge:
            return None
        return self._pool.dispatcher.pace(expert.name).hedge_after_s()

    def _turn(self, waited_s: float) -> None:
        self.waited_s = waited_s

    def _loaded(self, waited_s: float) -> None:
        self.loaded_s = waited_s

    def _note(self, expert: Expert, code: str, error: str, began: float) -> None:
        waited_ms = 1000 * (time.monotonic() - began)
        self.tried.append(Tried(expert.name, code, error, round(waited_ms, 1)))


def moves_on(exc: ExpertError) -> bool:
    """Whether another expert may do better: the fault, or the haste, is this one's."""
    return is_failure(exc) or exc.http_status == TOO_MANY


async def _nothing(_: object) -> None:
    """A whole answer needs no end."""


async def _close(chunks: AsyncIterator[Json]) -> None:
    await chunks.aclose()  # type: ignore[attr-defined]


async def _abandon(tasks: Sequence[asyncio.Task[Begun]], end: End[Begun]) -> None:
    """Cancel what lost, wait until it is gone, and end what had begun nevertheless."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            await end(outcome)
