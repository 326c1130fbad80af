"""Small fast state that replicas of the service share: in memory for one, in Redis for many."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from redis import asyncio as redis
from redis.exceptions import RedisError

from collegium.errors import SettingsError, StateUnavailable


class SharedState(Protocol):
    """Texts by key, each forgotten after its time."""

    async def get(self, key: str) -> str | None:
        """Return the text, or None where there is none or its time is over."""

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep the text for so many seconds from now."""

    async def close(self) -> None:
        """Let go of connections."""


def open_state(url: str | None) -> SharedState:
    """Open Redis where a URL names one, else this process's memory."""
    return MemoryState() if url is None else RedisState(url)


class MemoryState:
    """State of this process alone; when it is full, what was written longest ago goes first."""

    def __init__(
        self, *, capacity: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def get(self, key: str) -> str | None:
        """Return the text, or None where there is none or its time is over."""
        value, expires = self._entries.get(key, (None, 0.0))
        if value is not None and expires <= self._clock():
            del self._entries[key]
            return None
        return value

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep the text for so many seconds from now."""
        self._entries[key] = (value, self._clock() + ttl_s)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    async def close(self) -> None:
        """Nothing is open."""


class RedisState:
    """State that all replicas see; keys bear a prefix, for the server may be shared."""

    def __init__(self, url: str, *, prefix: str = "collegium:", timeout_s: float = 2.0) -> None:
        self._prefix = prefix
        try:
            self._redis = redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
            )
        except ValueError:  # it may repeat the password
            raise SettingsError("redis_url is not a URL such as redis://host:6379/0") from None
        address = self._redis.connection_pool.connection_kwargs
        self._where = address.get("path") or f"{address.get('host')}:{address.get('port', 6379)}"

    async def get(self, key: str) -> str | None:
        """Return the text, or None where there is none or its time is over."""
        with self._errors():
            value = await self._redis.get(self._prefix + key)
        return value.decode() if isinstance(value, bytes) else value

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep the text for so many seconds from now."""
        milliseconds = max(1, math.ceil(ttl_s * 1000))
        with self._errors():
            await self._redis.set(self._prefix + key, value, px=milliseconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as exc:
            raise StateUnavailable(f"can't use Redis at {self._where}: {exc}") from exc
