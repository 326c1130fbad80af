"""One call's way through its candidates: the first expert that begins to answer, answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, replace
from types import TracebackType
from typing import Protocol

from msgspec import structs

from collegium.errors import ExpertError
from collegium.experts.clients.reply import Call, Reply, Waits
from collegium.experts.dispatch.dispatcher import Dispatcher, Spot, is_failure
from collegium.experts.dispatch.terms import ANY_TIME, Terms, Tried
from collegium.registry.expert import Expert

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 3
"""A pool that is down as a whole should not get each request many times over."""
TOO_MANY = 429

Begun = tuple[AbstractAsyncContextManager[Reply], Reply]
"""A call that was entered, and the reply that has begun."""


class Asked(Protocol):
    """What answers a call when it is the call's turn: the pool."""

    dispatcher: Dispatcher

    def ask(
        self, call: Call, terms: Terms, waits: Waits | None
    ) -> AbstractAsyncContextManager[Reply]: ...

    def spot(self, expert: Expert) -> Spot: ...


class Attempts:
    """Asks the candidates in their order; entering it gives the reply, leaving it ends the call.

    Nothing is asked again once an answer has begun.
    """

    def __init__(self, pool: Asked, call: Call, terms: Terms = ANY_TIME) -> None:
        self.expert = call.expert
        """Who answers, or was asked first while nobody does."""
        self.tried: list[Tried] = []
        """Who else was asked, and why that became nothing."""
        self.waits = Waits()
        """What was waited for at the one that was asked last."""
        self._pool = pool
        self._call = call
        self._candidates = (call.expert, *call.instead)[:MOST_ATTEMPTS]
        self._terms = terms

    async def __aenter__(self) -> Reply:
        """The reply of the first that begins; ExpertError, the first one's, where nobody does."""
        self._asked, reply = await self._begin()
        self.waits = reply.waits
        if self.tried:
            tried = tuple(asdict(tried) for tried in self.tried)
            reply.began = structs.replace(reply.began, tried=tried)
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> bool | None:
        """End the call."""
        return await self._asked.__aexit__(kind, exc, at)

    async def _begin(self) -> Begun:
        left, error = list(self._candidates), None
        while left:
            self.expert = expert = left.pop(0)
            try:
                delay_s = self._hedge_after_s(expert)
                if delay_s is None:
                    return await self._attempt(expert)
                return await self._hedged(expert, left, delay_s)
            except ExpertError as exc:
                if not moves_on(exc):
                    raise
                error = error or exc
        assert error is not None
        self.expert = self._candidates[0]
        raise error

    async def _attempt(self, expert: Expert) -> Begun:
        began, self.waits = time.monotonic(), Waits()
        call = self._call if expert is self._call.expert else replace(self._call, expert=expert)
        asked = self._pool.ask(call, self._terms, self.waits)
        try:
            return asked, await asked.__aenter__()
        except ExpertError as exc:
            if moves_on(exc):
                log.warning("%s", exc.whole)
                self._note(expert, exc.code, exc.public, began)
            raise

    async def _hedged(self, expert: Expert, left: list[Expert], delay_s: float) -> Begun:
        """Ask one; when it is late, also the next; the first that begins wins, the other ends."""
        began = time.monotonic()
        running = {asyncio.create_task(self._attempt(expert)): expert}
        error: ExpertError | None = None
        try:
            done, _ = await asyncio.wait(running, timeout=delay_s)
            if not done and (second := self._second(expert, left)) is not None:
                if second in left:
                    left.remove(second)
                running[asyncio.create_task(self._attempt(second))] = second
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                task = next(iter(done))
                asked = running.pop(task)
                try:
                    begun = task.result()
                except ExpertError as exc:
                    error = error if error is not None and moves_on(exc) else exc
                    continue
                for slower in running.values():
                    words = f"{asked.name} began before it"
                    self._note(slower, "slower", words, began)
                self.expert = asked
                return begun
        finally:
            await _abandon(list(running))
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

    def _note(self, expert: Expert, code: str, error: str, began: float) -> None:
        waited_ms = 1000 * (time.monotonic() - began)
        self.tried.append(Tried(expert.name, code, error, round(waited_ms, 1)))


def moves_on(exc: ExpertError) -> bool:
    """Whether another expert may do better: the fault, or the haste, is this one's."""
    return is_failure(exc) or exc.http_status == TOO_MANY


async def _abandon(tasks: Sequence[asyncio.Task[Begun]]) -> None:
    """Cancel what lost, wait until it is gone, and end what had begun nevertheless."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            await outcome[0].__aexit__(None, None, None)
