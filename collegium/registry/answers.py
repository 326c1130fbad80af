"""Answers of the response cache, bounded by bytes and by age: in memory for one process.

`answers_redis.py` keeps them for several replicas.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from collegium.registry.state import Shares

OVERHEAD = 512
"""Bytes added to the size of each value, for keys, ids and indexes."""


@dataclass(frozen=True)
class Held:
    """The current contents of a store."""

    entries: int
    bytes: int


class AnswerStore(Protocol):
    """Values by key, which expire after `ttl_s` or are evicted when there is no room.

    If there is no room, the owner who stores most loses the values that were used least recently,
    so no caller can have others' values evicted. Each value belongs to one decision and can be
    deleted with it. Every method raises StateUnavailable if the store can't be reached.
    """

    async def get(self, key: str) -> bytes | None:
        """Return the value; None if there is none or it has expired."""

    async def put(self, key: str, decision: str, value: bytes, owner: str) -> None:
        """Store a value of an owner, replacing an earlier one of the same key."""

    async def forget(self, decisions: Iterable[str]) -> int:
        """Delete the values of some decisions; return how many there were."""

    async def clear(self) -> int:
        """Delete all values; return how many there were."""

    async def held(self) -> Held:
        """Return the contents, including values that have expired since the last `put`."""

    async def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True)
class _Entry:
    value: bytes
    decision: str
    owner: str
    expires: float

    @property
    def size(self) -> int:
        return len(self.value) + OVERHEAD


class MemoryAnswers:
    """Answers in this process's memory."""

    def __init__(
        self, *, ttl_s: float, most_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s = ttl_s
        self._most_bytes = most_bytes
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._by_use: dict[str, OrderedDict[str, None]] = {}
        """The keys of each owner; the one used least recently comes first."""
        self._by_age: OrderedDict[str, float] = OrderedDict()
        """The expiry of each key; all have the same lifetime, so the oldest comes first."""
        self._keys: dict[str, str] = {}
        """Keys by decision."""
        self._shares = Shares()
        """Bytes by owner."""

    async def get(self, key: str) -> bytes | None:
        """Return the value; None if there is none or it has expired."""
        self._expire()
        if (entry := self._entries.get(key)) is None:
            return None
        self._by_use[entry.owner].move_to_end(key)
        return entry.value

    async def put(self, key: str, decision: str, value: bytes, owner: str) -> None:
        """Store a value of an owner, replacing an earlier one of the same key."""
        self._drop(key)
        self._expire()
        entry = _Entry(value, decision, owner, self._clock() + self._ttl_s)
        self._entries[key] = entry
        self._by_use.setdefault(owner, OrderedDict())[key] = None
        self._by_age[key] = entry.expires
        self._keys[decision] = key
        self._shares.add(owner, entry.size)
        while self._shares.total > self._most_bytes:
            self._drop(next(iter(self._by_use[self._shares.largest()])))

    async def forget(self, decisions: Iterable[str]) -> int:
        """Delete the values of some decisions; return how many there were."""
        keys = [self._keys[each] for each in decisions if each in self._keys]
        for key in keys:
            self._drop(key)
        return len(keys)

    async def clear(self) -> int:
        """Delete all values; return how many there were."""
        count = len(self._entries)
        for key in list(self._entries):
            self._drop(key)
        return count

    async def held(self) -> Held:
        """Return the contents."""
        self._expire()
        return Held(len(self._entries), self._shares.total)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _expire(self) -> None:
        now = self._clock()
        while self._by_age and (oldest := next(iter(self._by_age.items())))[1] <= now:
            self._drop(oldest[0])

    def _drop(self, key: str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            del self._by_age[key], self._keys[entry.decision], self._by_use[entry.owner][key]
            if not self._by_use[entry.owner]:
                del self._by_use[entry.owner]
            self._shares.add(entry.owner, -entry.size)
