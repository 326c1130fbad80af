"""Answers of the response cache, bounded by bytes and by age: in memory for one process.

`answers_redis.py` keeps them for several replicas.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

OVERHEAD = 512
"""Bytes that an entry is counted with beside its value: keys, ids and the indexes."""


@dataclass(frozen=True)
class Held:
    """How much a store holds now."""

    entries: int
    bytes: int


class AnswerStore(Protocol):
    """Values by key, each forgotten `ttl_s` after it was put, or when there is no room for it.

    The least recently used values go first. Each belongs to one decision, with which it can be
    forgotten. Every method raises StateUnavailable where the store can't be reached.
    """

    async def get(self, key: str) -> bytes | None:
        """Return the value; None where there is none or its time is over."""

    async def put(self, key: str, decision: str, value: bytes) -> None:
        """Keep a value in the place of an earlier one of the same key."""

    async def forget(self, decisions: Iterable[str]) -> int:
        """Forget the values of some decisions; returns how many there were."""

    async def clear(self) -> int:
        """Forget all values; returns how many there were."""

    async def held(self) -> Held:
        """Return how much is held, values included whose time is over since the last `put`."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True)
class _Entry:
    value: bytes
    decision: str
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
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        """The least recently used one comes first."""
        self._by_age: OrderedDict[str, float] = OrderedDict()
        """When each key's time is over; all have the same time, so the oldest comes first."""
        self._keys: dict[str, str] = {}
        """By decision."""
        self._bytes = 0

    async def get(self, key: str) -> bytes | None:
        """Return the value; None where there is none or its time is over."""
        self._expire()
        if (entry := self._entries.get(key)) is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def put(self, key: str, decision: str, value: bytes) -> None:
        """Keep a value in the place of an earlier one of the same key."""
        self._drop(key)
        self._expire()
        entry = _Entry(value, decision, self._clock() + self._ttl_s)
        self._entries[key] = entry
        self._by_age[key] = entry.expires
        self._keys[decision] = key
        self._bytes += entry.size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))

    async def forget(self, decisions: Iterable[str]) -> int:
        """Forget the values of some decisions; returns how many there were."""
        keys = [self._keys[each] for each in decisions if each in self._keys]
        for key in keys:
            self._drop(key)
        return len(keys)

    async def clear(self) -> int:
        """Forget all values; returns how many there were."""
        count = len(self._entries)
        for key in list(self._entries):
            self._drop(key)
        return count

    async def held(self) -> Held:
        """Return how much is held."""
        self._expire()
        return Held(len(self._entries), self._bytes)

    async def close(self) -> None:
        """Nothing is open."""

    def _expire(self) -> None:
        now = self._clock()
        while self._by_age and (oldest := next(iter(self._by_age.items())))[1] <= now:
            self._drop(oldest[0])

    def _drop(self, key: str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            del self._by_age[key], self._keys[entry.decision]
            self._bytes -= entry.size
