"""Counters in memory of the one process that may count, where several share a database.

Without Redis each process would count for itself, and together they would overspend. So one of them
holds a lease; the others refuse requests under a limit until it lets go or has not been heard of.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from collegium.errors import CollegiumError, StateUnavailable
from collegium.registry.budgets.counters import (
    Charge,
    Granted,
    Held,
    Level,
    MemoryCounters,
    Missing,
    Refused,
    Wanted,
)
from collegium.registry.leases import Leases

log = logging.getLogger(__name__)
LEASE = "budgets"
LEASE_S = 15.0
SURE_S = 10.0
"""For so long the holder counts without asking: processes' clocks may differ by the rest."""
REFUSED_S = 1.0
"""Between two attempts to take the lease."""
FRESH_S = 1.0
"""For so long a level that was read from the log is shown while another process counts."""
WHY = (
    "another process of this service counts budgets in its memory; set redis_url, so that replicas "
    "share them, or run one process"
)


class SoleCounters:
    """`MemoryCounters` that reserve only while this process holds the lease."""

    def __init__(self, leases: Leases, *, lease_s: float = LEASE_S, sure_s: float = SURE_S) -> None:
        self._leases = leases
        self._lease_s, self._sure_s = lease_s, sure_s
        self._memory = MemoryCounters()
        self._name = secrets.token_hex(8)
        self._sure_until = 0.0
        self._refused_until = 0.0
        self._seeded: dict[str, float] = {}
        """When each counter was read from the log."""
        self._turn = asyncio.Lock()

    async def reserve(
        self, hold: str, charges: Sequence[Charge], want: Wanted
    ) -> Granted | Refused | Missing:
        """Reserve; StateUnavailable while another process counts."""
        if not self._is_sure:
            await self._take()
        return await self._memory.reserve(hold, charges, want)

    async def settle(self, hold: str, amounts: Mapping[str, int], *, lapsed: bool = False) -> None:
        """Replace what a request holds by what it used."""
        await self._memory.settle(hold, amounts, lapsed=lapsed)

    async def levels(self, counters: Sequence[str]) -> list[Level | None]:
        """Return the levels; while another process counts, those read from the log lately."""
        if not self._is_sure:
            fresh = time.monotonic() - FRESH_S
            old = [name for name in counters if self._seeded.get(name, 0.0) < fresh]
            await self._memory.drop(old)
        return await self._memory.levels(counters)

    async def holding(self, counter: str) -> tuple[int, list[str]]:
        """Return the counter's seed number, and the requests that hold some of it."""
        return await self._memory.holding(counter)

    async def seed(
        self, counter: str, used: int, number: int, expires_s: float | None = None
    ) -> None:
        """Start a counter, and note when."""
        self._seeded[counter] = time.monotonic()
        await self._memory.seed(counter, used, number, expires_s)

    async def drop(self, counters: Sequence[str]) -> None:
        """Discard the counters, so that they are rebuilt from the log."""
        await self._memory.drop(counters)

    async def held(self) -> list[Held]:
        """Return the requests of this process, and extend the lease; called every two seconds."""
        if self._is_sure:
            await self._take()
        return await self._memory.held()

    async def aclose(self) -> None:
        """Release the lease, so that another process can count at once."""
        if self._is_sure:
            with suppress(CollegiumError):  # without its database it is not heard of any more
                await self._leases.release(LEASE, self._name)

    @property
    def _is_sure(self) -> bool:
        return time.monotonic() < self._sure_until

    async def _take(self) -> None:
        async with self._turn:
            now = time.monotonic()
            if now < self._refused_until:
                raise StateUnavailable(f"Budgets can't be enforced here: {WHY}")
            if not await self._leases.hold(LEASE, self._name, self._lease_s):
                self._refused_until, self._sure_until = now + REFUSED_S, 0.0
                log.warning("requests under a limit are refused: %s", WHY)
                raise StateUnavailable(f"Budgets can't be enforced here: {WHY}")
            if not self._is_sure:  # another process may have counted since
                await self._memory.drop(sorted(self._seeded))
                self._seeded.clear()
            self._sure_until = now + self._sure_s
