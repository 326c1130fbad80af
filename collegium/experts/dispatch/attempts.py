"""One call's attempts at its candidates: the first expert that begins to answer serves it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, replace
from functools import partial
from types import TracebackType
from typing import Protocol

from msgspec import structs

from collegium.errors import (
    CapabilityMissing,
    ContentRefused,
    ExpertError,
    ExpertTimeout,
    ExpertUnavailable,
    LimitReached,
    NoFeasibleExpert,
    PromptTooLong,
)
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.reply import Call, Reply, Waits
from collegium.experts.dispatch.dispatcher import Dispatcher, Spot, is_failure
from collegium.experts.dispatch.telling import Failure, is_unclear, most_telling
from collegium.experts.dispatch.terms import ANY_TIME, SLOWER, Lost, Terms, Tried
from collegium.experts.presets import with_preset
from collegium.experts.tracing import NO_SPAN, Span
from collegium.registry.expert import Expert

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 3
"""A pool that is down as a whole should not get each request many times over."""
MOST_ASKED = 8
"""Refusals are cheap: this many experts may refuse a request for lack of a capability."""
MOST_UNCLEAR = 2
"""If two experts refuse a request with the same status, the request is at fault."""

Begun = tuple[AbstractAsyncContextManager[Reply], Reply]
"""A call that was entered, and the reply that has begun."""


class Asked(Protocol):
    """Sends a call when it is its turn: the pool."""

    dispatcher: Dispatcher

    def ask(
        self, call: Call, terms: Terms, waits: Waits | None
    ) -> AbstractAsyncContextManager[Reply]: ...

    def spot(self, expert: Expert) -> Spot: ...

    def has_another(self, expert: Expert) -> bool: ...


NOT_ADMITTED = (LimitReached, NoFeasibleExpert)
"""The errors by which a gate refuses an attempt."""


class Gate:
    """Checks every attempt against the request's limits and budgets. This one admits all."""

    def affords(self, expert: Expert, lost: Sequence[Lost]) -> bool:
        """Whether what earlier attempts may have cost leaves enough for one more."""
        return True

    async def admit(self, call: Call, lost: Sequence[Lost]) -> Call:
        """Return the call as it may be sent; raise one of `NOT_ADMITTED` if it may not."""
        return call

    def unheard(self, call: Call) -> int:
        """Report the tokens that an attempt may be billed for although its answer is discarded."""
        return 0

    def most(self, call: Call) -> int | None:
        """Tokens that an admitted attempt may write; None where nobody limits them."""
        return None

    def failed(self, expert: Expert) -> None:
        """An attempt that was admitted has become nothing."""

    def logged(self, error: ExpertError | PromptTooLong) -> str:
        """What the log says of a failed attempt: all that is known."""
        return error.whole


class Attempts:
    """Asks the candidates in their order; entering it gives the reply, leaving it ends the call.

    Nothing is asked again once an answer has begun.
    """

    def __init__(
        self,
        pool: Asked,
        call: Call,
        terms: Terms = ANY_TIME,
        gate: Gate | None = None,
        span: Span = NO_SPAN,
    ) -> None:
        self.expert = call.expert
        """The expert that answers; before that, the one that was asked first."""
        self.tried: list[Tried] = []
        """The other experts that were asked, and why they failed."""
        self.waits = Waits()
        """The waits at the expert that was asked last."""
        self.lost: list[Lost] = []
        """Attempts that cost something although they became nothing."""
        self.failures: list[Failure] = []
        """The experts that failed, in order."""
        self.unheard: dict[str, int] = {}
        """By expert: tokens that it may bill for a discarded answer."""
        self.most: dict[str, int | None] = {}
        """By expert: tokens that it may write at most; None if unlimited."""
        self._pool = pool
        self._call = call
        self._candidates = (call.expert, *call.instead)[:MOST_ASKED]
        self._terms = terms
        self._gate = gate or Gate()
        self._span = span
        self._number = 0

    async def __aenter__(self) -> Reply:
        """Return the first reply that begins; raise the most informative error if none does."""
        try:
            self._asked, reply = await self._begin()
        finally:
            # Whoever made the gate keeps these attempts: only Python's collector would
            # free both, and a request's body with them, which may be 32 MiB.
            self._gate = Gate()
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
        left = list(self._candidates)
        refused: LimitReached | NoFeasibleExpert | None = None
        while left:
            self.expert = expert = left.pop(0)
            try:
                delay_s = self._hedge_after_s(expert)
                if delay_s is None:
                    self.waits = Waits()
                    return await self._attempt(expert, self.waits)
                return await self._hedged(expert, left, delay_s)
            except (ExpertError, PromptTooLong) as exc:
                left = self._next(exc, left)
            except NOT_ADMITTED as exc:
                refused = refused or exc
        self.expert = self._candidates[0]
        if refused is not None and not self.failures:
            raise refused
        raise most_telling(self.failures)

    def _next(self, exc: ExpertError | PromptTooLong, left: Sequence[Expert]) -> list[Expert]:
        """Return the candidates to ask after a failure, in order; none if asking is pointless."""
        if isinstance(exc, ContentRefused) or self._is_enough(exc):
            return []
        if isinstance(exc, PromptTooLong):
            left = sorted(left, key=lambda expert: -expert.context_window)
        failed = self.failures[-1].expert if self.failures else self.expert
        if isinstance(exc, ExpertUnavailable) and self._pool.has_another(failed):
            left = [failed, *left]
        if isinstance(exc, CapabilityMissing):
            left = [e for e in left if e.capabilities.get(exc.capability) is not False]
        return [expert for expert in left if self._gate.affords(expert, self.lost)]

    def _is_enough(self, exc: ExpertError | PromptTooLong) -> bool:
        """Whether to stop: too late, too many attempts, or hopeless."""
        errors = [failure.error for failure in self.failures]
        same = [e for e in errors if is_unclear(e) and e.http_status == exc.http_status]
        failed = [f for f in self.failures if f.asked and is_failure(f.error)]
        left_s = self._terms.left_s()
        late = left_s is not None and left_s <= 0
        return late or len(same) >= MOST_UNCLEAR or len(failed) >= MOST_ATTEMPTS

    async def _attempt(self, expert: Expert, waits: Waits) -> Begun:
        began = time.monotonic()
        call = self._call if expert is self._call.expert else replace(self._call, expert=expert)
        try:
            call = await self._gate.admit(call, self.lost)
        except NOT_ADMITTED as exc:
            self._note(expert, exc.code, str(exc), began)
            raise
        self.unheard[expert.name] = self._gate.unheard(call)
        self.most[expert.name] = self._gate.most(call)
        self._number += 1
        ask = partial(self._pool.ask, terms=self._terms, waits=waits)
        asked = self._span.asking(call, self._number, ask)
        try:
            return asked, await asked.__aenter__()
        except (ExpertError, PromptTooLong) as exc:
            had_turn = waits.queued_s is not None
            self._gate.failed(expert)
            self.failures.append(Failure(expert, exc, had_turn))
            if not isinstance(exc, ContentRefused):
                log.warning("%s", self._gate.logged(exc))
                log.debug("%s", exc.whole)
                self._note(expert, exc.code, str(exc), began)
            if had_turn and isinstance(exc, ExpertError):
                late = isinstance(exc, ExpertTimeout)
                self._lose(expert, worked=exc.worked or late, goes_on=late)
            raise

    async def _hedged(self, expert: Expert, left: list[Expert], delay_s: float) -> Begun:
        """Ask one; when it is late, also the next; the first that begins wins, the other ends."""
        began = time.monotonic()
        running = dict([self._started(expert)])
        error: ExpertError | PromptTooLong | LimitReached | NoFeasibleExpert | None = None
        try:
            done, _ = await asyncio.wait(running, timeout=delay_s)
            if not done and (second := self._second(expert, left)) is not None:
                if second in left:
                    left.remove(second)
                running |= [self._started(second)]
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                task = next(iter(done))
                asked, self.waits = running.pop(task)
                try:
                    begun = task.result()
                except (ExpertError, PromptTooLong, *NOT_ADMITTED) as exc:
                    error = exc if error is None or isinstance(exc, ContentRefused) else error
                    if isinstance(exc, ContentRefused):
                        break
                    continue
                for slower, waits in running.values():
                    self._note(slower, SLOWER, f"{asked.name} began before it", began)
                    self._gate.failed(slower)
                    self._lose(slower, worked=waits.queued_s is not None, goes_on=True)
                self.expert = asked
                return begun
        except asyncio.CancelledError:  # the first one's account is the call's own
            for second, waits in list(running.values())[1:]:
                self._lose(second, worked=waits.queued_s is not None, goes_on=True)
            raise
        finally:
            await _abandon(list(running))
        assert error is not None
        raise error

    def _started(self, expert: Expert) -> tuple[asyncio.Task[Begun], tuple[Expert, Waits]]:
        waits = Waits()
        return asyncio.create_task(self._attempt(expert, waits)), (expert, waits)

    def _lose(self, expert: Expert, *, worked: bool, goes_on: bool) -> None:
        """Take note of what an attempt may cost although it became no answer.

        `goes_on`: nothing told that its upstream has stopped.
        """
        if worked:
            body = with_preset(replace(self._call, expert=expert)).body
            written = self.unheard.get(expert.name, 0) if goes_on else 0
            self.lost.append(Lost(expert, prompt_tokens(body, model=expert.model), written))

    def _second(self, expert: Expert, left: Sequence[Expert]) -> Expert | None:
        """Return the expert for a hedged request: the next candidate or the same; none if busy."""
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


async def _abandon(tasks: Sequence[asyncio.Task[Begun]]) -> None:
    """Cancel what lost, wait until it is gone, and end what had begun nevertheless."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            await outcome[0].__aexit__(None, None, None)
