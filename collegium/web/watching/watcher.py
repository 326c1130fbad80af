"""Monitors as long as the service runs: every replica follows alarms, one of them leads."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from collegium.errors import CollegiumError
from collegium.registry.background import Repeating
from collegium.registry.learning.alarms import Alarm
from collegium.web.serving.parts import Parts
from collegium.web.watching.guards import guard_canary
from collegium.web.watching.marks import MarkWatch

if TYPE_CHECKING:
    from collegium.web.watching.schedule import Schedule

EVERY_S = 2.0
"""Between two looks: so soon does every replica lower its forecasts."""
REST = 10.0
"""Pause between two checks, as a multiple of their duration: sums over a long log take time."""
LEASE, LEASE_S, RENEW_S = "watching", 20.0, 5.0


class Watcher:
    """Follows the open alarms, and as the leader raises them."""

    def __init__(self, parts: Parts, *, may_lead: bool = True) -> None:
        self._parts = parts
        self._may_lead = may_lead
        self._name = secrets.token_hex(8)
        self._revision: datetime | None = None
        self._open: tuple[Alarm, ...] = ()
        self._renewed = 0.0
        self._rested = 0.0
        self._marks: MarkWatch | None = None
        """Only on the leader."""
        self._schedule: Schedule | None = None
        self._replays: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._loop = Repeating(
            self.look, EVERY_S, name="watching", failing="nothing is watched for now"
        )

    def start(self) -> None:
        """Watch in the background."""
        self._loop.start()

    async def close(self) -> None:
        """Watch no more; another replica may lead at once."""
        async with self._looking:  # what is being read or written comes to its end
            await self._loop.close()
        if self._replays is not None:
            self._replays.cancel()
            await asyncio.gather(self._replays, return_exceptions=True)
        if self._marks is not None:
            with contextlib.suppress(CollegiumError):
                await self._parts.leases.release(LEASE, self._name)

    async def look(self) -> None:
        """Follow the alarms; as the leader, read what is new and act on it."""
        async with self._looking:
            await self._follow()
            now = asyncio.get_running_loop().time
            if not self._may_lead or not await self._leads() or now() < self._rested:
                return
            began = now()
            if self._marks is None:
                self._marks = MarkWatch(self._parts)
            await self._marks.look(self._open)
            await guard_canary(self._parts)
            await self._look_at_schedule()
            self._rested = now() + REST * (now() - began)
            if self._replays is None and self._parts.settings.watch_share:
                from collegium.web.watching.replays import Replays  # for those who want replays

                self._replays = asyncio.create_task(Replays(self._parts).run(), name="replays")
            await self._follow()

    async def _look_at_schedule(self) -> None:
        """Start learning runs on schedule, if the settings ask for it."""
        if self._parts.settings.learn_every is None:
            return
        if self._schedule is None:
            from collegium.web.watching.schedule import Schedule

            self._schedule = Schedule(self._parts)
        await self._schedule.look()

    async def _follow(self) -> None:
        """Lower forecasts as the open alarms say."""
        revision = await self._parts.alarms.revision()
        if revision == self._revision:
            return
        self._open = await self._parts.alarms.list(open_only=True)
        self._revision = revision
        self._parts.lowered.follow(self._open)
        kinds = [alarm.kind for alarm in self._open]
        self._parts.metrics.alarms(kinds, self._parts.lowered.by_expert)

    async def _leads(self) -> bool:
        """Whether this replica holds the lease; one that lost it discards its state."""
        now = asyncio.get_running_loop().time()
        if self._marks is not None and now < self._renewed + RENEW_S:
            return True
        if await self._parts.leases.hold(LEASE, self._name, LEASE_S):
            self._renewed = now
            return True
        if self._replays is not None:
            self._replays.cancel()
        self._marks, self._replays = None, None
        return False
