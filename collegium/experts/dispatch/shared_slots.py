"""Slots of an endpoint shared by replicas, which together stay within its limit."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from collegium.errors import ExpertBusy
from collegium.experts.dispatch.terms import Terms
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
        self._used: Counter[str] = Counter()
        self._claimed: Counter[str] = Counter()
        """What the others know of; the slots that are not used are kept for a moment."""
        self._most: dict[str, int] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewal: asyncio.Task[None] | None = None
        self._releasing: set[str] = set()
        """Places whose unused slots will be released, so that several are released at once."""

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
        self._most[place] = most
        self._renewal = self._renewal or asyncio.create_task(self._renew(), name="renew slots")
        if self._used[place] < self._claimed[place]:
            self._used[place] += 1
            return
        left_s = terms.left_s()
        end = time.monotonic() + (patience_s if left_s is None else left_s)
        while not await self._claim(place):
            if time.monotonic() + POLL_S > end:
                raise ExpertBusy(expert, f"all {most} slots of its endpoint are taken")
            await asyncio.sleep(POLL_S)

    def give(self, place: str) -> None:
        """Release a slot: soon, or at once if this replica keeps too many."""
        self._used[place] -= 1
        kept = self._claimed[place] - self._used[place]
        if kept > self._most[place] // KEPT:
            self._spawn(self._release(place))
        elif place not in self._releasing:
            self._releasing.add(place)
            self._spawn(self._release(place, KEEP_S))

    async def aclose(self) -> None:
        """Stop telling."""
        tasks = [*self._tasks, *([self._renewal] if self._renewal else [])]
        if self._renewal is not None:
            self._renewal.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim(self, place: str) -> bool:
        """Claim one more slot than are used, and use it; False if the others leave none."""
        async with self._turn(place):  # counts arrive in their order
            self._used[place] += 1  # counted already, should the caller be cancelled meanwhile
            taken = self._used[place] <= self._claimed[place]  # one became free meanwhile
            try:
                taken = taken or await self._tell(place, self._used[place])
            finally:
                if not taken:
                    self._used[place] -= 1
            return taken

    async def _release(self, place: str, after_s: float = 0.0) -> None:
        if after_s:
            await asyncio.sleep(after_s)
            self._releasing.discard(place)
        async with self._turn(place):
            if self._used[place] < self._claimed[place]:
                await self._tell(place, self._used[place])

    async def _tell(self, place: str, count: int) -> bool:
        if count < self._claimed[place]:
            self._claimed[place] = count  # nobody here takes what the others are about to have
        most = self._most[place]
        told = await self._state.claim(f"slots:{place}", self._replica, count, most, TTL_S)
        if told:
            self._claimed[place] = count
        return told

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for place in [place for place, claimed in self._claimed.items() if claimed]:
                async with self._turn(place):
                    await self._tell(place, self._used[place])

    def _turn(self, place: str) -> asyncio.Lock:
        return self._turns.setdefault(place, asyncio.Lock())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
