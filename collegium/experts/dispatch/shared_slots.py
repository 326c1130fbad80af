"""Slots of an endpoint shared by replicas, which together stay within its limit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from collegium.errors import ExpertBusy
from collegium.experts.dispatch.terms import Terms
from collegium.registry.background import Repeating
from collegium.registry.claims import KEPT_FREE, REFUSED, WANTED
from collegium.registry.state import SharedState

TTL_S = 15.0
"""Seconds after which the slots of a silent replica are released."""
RENEW_S = 5.0
POLL_S = 0.05
KEEP_S = 0.1
"""How long a slot that is free again is kept for the next request of this replica: to claim and to
release one for each request took two messages of five that a worker sent.
"""
KEPT = 8
"""Of so many slots of a place, a replica keeps one."""


class SharedSlots:
    """One replica's share of all places' slots, published through the shared state.

    It always reports how many it has, never a difference, so that a lost state repairs itself.
    """

    def __init__(self, state: SharedState, replica: str) -> None:
        self._state = state
        self._replica = replica
        self._shares: dict[str, _Share] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewal = Repeating(
            self._renew, RENEW_S, name="renew slots", failing="slots are not renewed for now"
        )

    @asynccontextmanager
    async def held(
        self, place: str, expert: str, most: int, terms: Terms, patience_s: float
    ) -> AsyncGenerator[None]:
        """Hold one more slot; raise ExpertBusy if others leave none in time."""
        await self.take(place, expert, most, terms, patience_s)
        try:
            yield
        finally:
            self.give(place, terms.caller)

    async def take(
        self, place: str, expert: str, most: int, terms: Terms, patience_s: float
    ) -> None:
        """Take one more slot; raise ExpertBusy if others leave none in time."""
        self._renewal.start()
        share = self._shares.get(place)
        if share is None:
            share = self._shares[place] = _Share(self._state, place, self._replica)
        share.most = most
        if not share.line and share.use(terms.caller):
            return
        ticket = _Ticket(terms)
        share.join(ticket)
        if share.serving is None or share.serving.done():
            share.serving = self._spawn(share.serve())
        left_s = terms.left_s()
        try:
            async with asyncio.timeout(patience_s if left_s is None else left_s):
                await ticket.turn
        except BaseException as exc:
            if ticket.has_slot:
                self.give(place, terms.caller)
            if isinstance(exc, TimeoutError):
                words = f"all {most} slots of its endpoint are taken"
                raise ExpertBusy(expert, words) from exc
            raise
        finally:
            share.line.remove(ticket)

    def give(self, place: str, caller: str) -> None:
        """Release a slot: soon, or at once if others wait or this replica keeps too many."""
        share = self._shares[place]
        share.leave(caller)
        if share.wanted or share.claimed - share.used > share.most // KEPT:
            self._spawn(share.release())
        elif not share.releasing:
            share.releasing = True
            self._spawn(share.release(KEEP_S))

    async def aclose(self) -> None:
        """Stop telling."""
        await self._renewal.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _renew(self) -> None:
        for share in [share for share in self._shares.values() if share.claimed]:
            await share.tell()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Ticket:
    """One request that waits for a slot."""

    def __init__(self, terms: Terms) -> None:
        self.caller = terms.caller
        self.is_background = terms.priority == "background"
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def has_slot(self) -> bool:
        """Whether it was given one."""
        return self.turn.done() and not self.turn.cancelled() and self.turn.exception() is None


class _Share:
    """What one replica has of one place's slots."""

    def __init__(self, state: SharedState, place: str, replica: str) -> None:
        self.most = 0
        self.used = 0
        self.claimed = 0
        """What the others know of; the slots that are not used are kept for a moment."""
        self.wanted = False
        """Whether others wait for a slot, or hardly any are left: then none is kept."""
        self.releasing = False
        """Whether the unused ones will be released, so that several are released at once."""
        self.line: list[_Ticket] = []
        """Those who wait, in the order in which they came."""
        self.serving: asyncio.Task[None] | None = None
        self._by_caller: Counter[str] = Counter()
        """Slots that are used, by caller."""
        self._free = asyncio.Event()
        self._state = state
        self._key = f"slots:{place}"
        self._replica = replica
        self._turn = asyncio.Lock()  # counts arrive in their order

    def use(self, caller: str) -> bool:
        """Use a slot that is kept; False if there is none."""
        if self.wanted or self.used >= self.claimed:
            return False
        self.used += 1
        self._by_caller[caller] += 1
        return True

    def join(self, ticket: _Ticket) -> None:
        """Wait for a slot: perhaps before those who wait already."""
        self.line.append(ticket)
        self._free.set()

    def leave(self, caller: str) -> None:
        """Use one slot less."""
        self.used -= 1
        self._by_caller[caller] -= 1
        if not self._by_caller[caller]:
            del self._by_caller[caller]
        self._free.set()

    async def serve(self) -> None:
        """Give slots to those who wait until nobody does; one request of a replica asks for all."""
        while (ticket := self._next()) is not None:
            try:
                found = self.use(ticket.caller) or await self._claim(ticket.caller)
            except Exception as exc:  # noqa: BLE001  whoever waits is told, whatever it is
                self._fail(exc)
                return
            if not found:
                self._free.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._free.wait()
            elif ticket.turn.done():  # it has left meanwhile
                self.leave(ticket.caller)
                await self.tell()
            else:
                ticket.turn.set_result(None)

    async def release(self, after_s: float = 0.0) -> None:
        """Release the slots that are not used then; learn whether others wait for some."""
        if after_s:
            await asyncio.sleep(after_s)
            self.releasing = False
        await self.tell()

    async def tell(self) -> None:
        """Say how many are used."""
        async with self._turn:
            await self._say(self.used)

    def _next(self) -> _Ticket | None:
        """Whose turn it is: the caller's with the fewest slots; background work comes last."""
        waiting = [ticket for ticket in self.line if not ticket.turn.done()]
        ranks = self._by_caller
        return min(waiting, key=lambda t: (t.is_background, ranks[t.caller]), default=None)

    def _fail(self, exc: Exception) -> None:
        for ticket in self.line:
            if not ticket.turn.done():
                ticket.turn.set_exception(exc)

    async def _claim(self, caller: str) -> bool:
        """Claim one more slot than are used, and use it; False if the others leave none.

        A caller that has one already leaves some to those who have none, wherever they ask; a
        request without a caller leaves none.
        """
        async with self._turn:
            self.used += 1  # counted already, should this be cancelled meanwhile
            self._by_caller[caller] += 1
            leave = self.most // KEPT_FREE if caller and self._by_caller[caller] > 1 else 0
            taken = False
            try:
                taken = await self._say(self.used, leave)
            finally:
                if not taken:
                    self.leave(caller)
            return taken

    async def _say(self, count: int, leave: int = 0) -> bool:
        if count < self.claimed:
            self.claimed = count  # nobody here takes what the others are about to have
        answer = await self._state.claim(
            self._key, self._replica, count, self.most, TTL_S, leave=leave
        )
        if answer == REFUSED:
            return False
        self.claimed, self.wanted = count, answer == WANTED
        return True
