"""Slots of an endpoint shared by replicas, which together stay within its limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from collegium.errors import ExpertBusy
from collegium.experts.dispatch.terms import Terms
from collegium.registry.claims import REFUSED, WANTED
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
        self._renewal: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def held(
        self, place: str, expert: str, most: int, terms: Terms, patience_s: float
    ) -> AsyncGenerator[None]:
        """Hold one more slot; raise ExpertBusy if the other replicas leave none in time."""
        await self.take(place, expert, most, terms, patience_s)
        try:
            yield
        finally:
            self.give(place)

    async def take(
        self, place: str, expert: str, most: int, terms: Terms, patience_s: float
    ) -> None:
        """Take one more slot; raise ExpertBusy if the other replicas leave none in time."""
        self._renewal = self._renewal or asyncio.create_task(self._renew(), name="renew slots")
        share = self._shares.get(place)
        if share is None:
            share = self._shares[place] = _Share(self._state, place, self._replica)
        share.most = most
        if not share.line.locked() and share.use():
            return
        left_s = terms.left_s()
        try:
            async with asyncio.timeout(patience_s if left_s is None else left_s), share.line:
                await share.wait()
        except TimeoutError as exc:
            raise ExpertBusy(expert, f"all {most} slots of its endpoint are taken") from exc

    def give(self, place: str) -> None:
        """Release a slot: soon, or at once if others wait or this replica keeps too many."""
        share = self._shares[place]
        share.used -= 1
        share.free.set()
        if share.wanted or share.claimed - share.used > share.most // KEPT:
            self._spawn(share.release())
        elif not share.releasing:
            share.releasing = True
            self._spawn(share.release(KEEP_S))

    async def aclose(self) -> None:
        """Stop telling."""
        tasks = [*self._tasks, *([self._renewal] if self._renewal else [])]
        if self._renewal is not None:
            self._renewal.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for share in [share for share in self._shares.values() if share.claimed]:
                await share.tell()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Share:
    """What one replica has of one place's slots."""

    def __init__(self, state: SharedState, place: str, replica: str) -> None:
        self.most = 0
        self.used = 0
        self.claimed = 0
        """What the others know of; the slots that are not used are kept for a moment."""
        self.wanted = False
        """Whether other replicas wait for a slot: then none is kept."""
        self.releasing = False
        """Whether the unused ones will be released, so that several are released at once."""
        self.line = asyncio.Lock()
        """Held by the first of those who wait for a slot, since one is enough to ask for it."""
        self.free = asyncio.Event()
        self._state = state
        self._key = f"slots:{place}"
        self._replica = replica
        self._turn = asyncio.Lock()  # counts arrive in their order

    def use(self) -> bool:
        """Use a slot that is kept; False if there is none."""
        if self.wanted or self.used >= self.claimed:
            return False
        self.used += 1
        return True

    async def wait(self) -> None:
        """Use a slot as soon as there is one."""
        while not (self.use() or await self._claim()):
            self.free.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self.free.wait()

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

    async def _claim(self) -> bool:
        """Claim one more slot than are used, and use it; False if the others leave none."""
        async with self._turn:
            self.used += 1  # counted already, should the caller be cancelled meanwhile
            taken = False
            try:
                taken = await self._say(self.used)
            finally:
                if not taken:
                    self.used -= 1
            return taken

    async def _say(self, count: int) -> bool:
        if count < self.claimed:
            self.claimed = count  # nobody here takes what the others are about to have
        answer = await self._state.claim(self._key, self._replica, count, self.most, TTL_S)
        if answer == REFUSED:
            return False
        self.claimed, self.wanted = count, answer == WANTED
        return True
