"""Slots of an endpoint shared by replicas, which together stay within its limit."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from collegium.errors import ExpertBusy
from collegium.experts.dispatch.terms import Terms
from collegium.registry.state import SharedState

TTL_S = 15.0
"""Seconds after which the slots of a silent replica are released."""
RENEW_S = 5.0
POLL_S = 0.05


class SharedSlots:
    """One replica's share of all places' slots, published through the shared state.

    It always reports how many it holds, never a difference, so that a lost state repairs itself.
    """

    def __init__(self, state: SharedState, replica: str) -> None:
        self._state = state
        self._replica = replica
        self._held: Counter[str] = Counter()
        self._most: dict[str, int] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewal: asyncio.Task[None] | None = None
        self._untold: set[str] = set()
        """Places whose count will be told, so that several requests that end are told once."""

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
        left_s = terms.left_s()
        end = time.monotonic() + (patience_s if left_s is None else left_s)
        while not await self._claim(place, 1):
            if time.monotonic() + POLL_S > end:
                raise ExpertBusy(expert, f"all {most} slots of its endpoint are taken")
            await asyncio.sleep(POLL_S)

    def give(self, place: str) -> None:
        """Release a slot, and tell the others soon."""
        self._held[place] -= 1
        if place in self._untold:
            return
        self._untold.add(place)
        task = asyncio.create_task(self._tell(place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Stop telling."""
        tasks = [*self._tasks, *([self._renewal] if self._renewal else [])]
        if self._renewal is not None:
            self._renewal.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim(self, place: str, more: int) -> bool:
        async with self._turns.setdefault(place, asyncio.Lock()):  # counts arrive in their order
            self._untold.discard(place)
            count, most = self._held[place] + more, self._most[place]
            self._held[place] = count  # counted already, should the caller be cancelled meanwhile
            taken = False
            try:
                taken = await self._state.claim(f"slots:{place}", self._replica, count, most, TTL_S)
            finally:
                if not taken:
                    self._held[place] -= more
            return taken

    async def _tell(self, place: str) -> None:
        await self._claim(place, 0)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for place in [place for place, held in self._held.items() if held]:
                await self._tell(place)
