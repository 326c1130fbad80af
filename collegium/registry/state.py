"""Small, fast state shared by replicas: in memory for one process, in Redis for several."""

from __future__ import annotations

import heapq
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from collegium.errors import StateUnavailable
from collegium.registry.claims import Answer, Claims

log = logging.getLogger(__name__)
Step = Callable[[str | None], str]
Entries = OrderedDict[str, tuple[str, float]]
"""Texts with the moments at which they expire; what was written last comes last."""
NOTHING: Entries = OrderedDict()
CONVERSATION = "session"
"""The beginning of a conversation's key; its owner's name follows, without a colon in it."""
OF_NOBODY = ":"
MOST_STALE = 64
"""Entries of `Shares` that are out of date, beyond as many as there are owners."""
Value = TypeVar("Value")


class SharedState(Protocol):
    """Texts by key, each of which expires."""

    async def get(self, key: str) -> str | None:
        """Return the text, or None if there is none or it has expired."""

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Store the text for this many seconds."""

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Replace the text by the result of `step`, atomically, and return it.

        `step` may be called several times.
        """

    async def claim(
        self, key: str, holder: str, count: int, most: int, ttl_s: float, leave: int = 0
    ) -> Answer:
        """Claim `count` of `most` for a holder: REFUSED (0) if the others leave too few, or have
        waited for longer; WANTED if it is taken and others wait for some or hardly any are left;
        else TAKEN. After a claim for more, `leave` have to be free.

        A count that is not larger than the holder's last one is always accepted. The claim of a
        holder that does not repeat it within `ttl_s` expires.
        """

    async def close(self) -> None:
        """Close connections."""


class Shares:
    """How much each owner holds of a room that all share, and who holds most."""

    def __init__(self) -> None:
        self.total = 0
        self._held: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        """Every owner's amount, negative, besides amounts that are out of date."""

    def add(self, owner: str, amount: int) -> None:
        """Add to what an owner holds; a negative amount takes away."""
        self.total += amount
        held = self._held.pop(owner, 0) + amount
        if held:
            self._held[owner] = held
            heapq.heappush(self._heap, (-held, owner))
        if len(self._heap) > 2 * len(self._held) + MOST_STALE:
            self._heap = [(-held, owner) for owner, held in self._held.items()]
            heapq.heapify(self._heap)

    def largest(self) -> str:
        """Return the owner who holds most; somebody has to hold something."""
        while self._held.get(self._heap[0][1], 0) != -self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][1]


CAPACITY = 25_000
"""A conversation takes about 450 bytes, so this is about 11 MB; use Redis for more."""


class MemoryState:
    """State of this process alone. If it is full, the owner with most conversations loses the
    oldest, so that no caller can make others' conversations forgotten.
    """

    def __init__(
        self, *, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = capacity
        self._clock = clock
        self._groups: dict[str, Entries] = {}
        self._shares = Shares()
        self._claims = Claims(clock)

    async def get(self, key: str) -> str | None:
        """Return the text, or None if there is none or it has expired."""
        group = _group_of(key)
        value, expires = self._groups.get(group, NOTHING).get(key, (None, 0.0))
        if value is not None and expires <= self._clock():
            self._drop(group, key)
            return None
        return value

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Store the text for this many seconds."""
        now, group = self._clock(), _group_of(key)
        if key not in (entries := self._groups.setdefault(group, OrderedDict())):
            self._shares.add(group, 1)
        entries[key] = (value, now + ttl_s)
        entries.move_to_end(key)
        self._forget_expired(now)
        if self._shares.total > self._capacity:
            largest = self._shares.largest()
            self._drop(largest, next(iter(self._groups[largest])))

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Atomic, because it is one step of the event loop."""
        value = step(await self.get(key))
        await self.put(key, value, ttl_s)
        return value

    async def claim(
        self, key: str, holder: str, count: int, most: int, ttl_s: float, leave: int = 0
    ) -> Answer:
        """Add up the claims of all holders."""
        return self._claims.claim(key, holder, count, most, ttl_s, leave)

    async def close(self) -> None:
        """Do nothing: no connection is open."""

    def _forget_expired(self, now: float) -> None:
        """Drop the oldest entry of one owner, of another one each time, if it has expired."""
        group = next(iter(self._groups))
        entries = self._groups[group] = self._groups.pop(group)
        oldest = next(iter(entries))
        if entries[oldest][1] <= now:
            self._drop(group, oldest)

    def _drop(self, group: str, key: str) -> None:
        del self._groups[group][key]
        self._shares.add(group, -1)
        if not self._groups[group]:
            del self._groups[group]


def _group_of(key: str) -> str:
    """What an entry's room is shared by: its owner if it is a conversation."""
    kind, _, rest = key.partition(":")
    return rest.partition(":")[0] if kind == CONVERSATION else OF_NOBODY


class SturdyState:
    """Shared state that falls back to memory while Redis is unavailable, with one warning."""

    def __init__(self, shared: SharedState, *, retry_s: float = 5.0) -> None:
        self._shared = shared
        self._local = MemoryState()
        self._retry_s = retry_s
        self._lost_until: float | None = None

    async def get(self, key: str) -> str | None:
        """Return the shared text if it can be read, otherwise this process's own."""
        return await self._either(lambda state: state.get(key))

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Store the text, shared if possible."""
        await self._either(lambda state: state.put(key, value, ttl_s))

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Change the text, shared if possible."""
        return await self._either(lambda state: state.change(key, step, ttl_s))

    async def claim(
        self, key: str, holder: str, count: int, most: int, ttl_s: float, leave: int = 0
    ) -> Answer:
        """Claim together with the other replicas if possible, otherwise against this process's own
        claims.
        """
        return await self._either(lambda state: state.claim(key, holder, count, most, ttl_s, leave))

    async def close(self) -> None:
        """Close both."""
        await self._shared.close()
        await self._local.close()

    async def _either(self, use: Callable[[SharedState], Awaitable[Value]]) -> Value:
        if self._lost_until is not None and time.monotonic() < self._lost_until:
            return await use(self._local)  # to ask again for each request would delay all of them
        try:
            value = await use(self._shared)
        except StateUnavailable as exc:
            if self._lost_until is None:
                log.warning("going on without shared state, each replica for itself: %s", exc)
            self._lost_until = time.monotonic() + self._retry_s
            return await use(self._local)
        if self._lost_until is not None:
            log.warning("shared state is back")
            self._lost_until = None
        return value
