"""Small fast state that replicas of the service share: in memory for one, in Redis for many."""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from redis import asyncio as redis
from redis.exceptions import RedisError

from collegium.errors import SettingsError, StateUnavailable

log = logging.getLogger(__name__)
Step = Callable[[str | None], str]
Value = TypeVar("Value")


class SharedState(Protocol):
    """Texts by key, each forgotten after its time."""

    async def get(self, key: str) -> str | None:
        """Return the text, or None where there is none or its time is over."""

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep the text for so many seconds from now."""

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Put what `step` makes of the present text, and return it; no change between is lost.

        `step` may be called several times.
        """

    async def claim(self, key: str, holder: str, count: int, most: int, ttl_s: float) -> bool:
        """Say that a holder has `count` of `most` there are; False where others leave too few.

        A count that is not larger than the holder's last one is always taken. A holder that says
        nothing for `ttl_s` has none any more.
        """

    async def close(self) -> None:
        """Let go of connections."""


def open_state(url: str | None) -> SharedState:
    """Open Redis where a URL names one, else this process's memory."""
    return MemoryState() if url is None else SturdyState(RedisState(url))


class MemoryState:
    """State of this process alone; when it is full, what was written longest ago goes first."""

    def __init__(
        self, *, capacity: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._claims: dict[str, dict[str, tuple[int, float]]] = {}

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

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Nothing can come between: reading and writing are one step of the event loop."""
        value = step(await self.get(key))
        await self.put(key, value, ttl_s)
        return value

    async def claim(self, key: str, holder: str, count: int, most: int, ttl_s: float) -> bool:
        """Count what all holders have."""
        now = self._clock()
        held = {h: c for h, c in self._claims.get(key, {}).items() if c[1] > now}
        others = sum(c[0] for h, c in held.items() if h != holder)
        if count > held.get(holder, (0, 0.0))[0] and others + count > most:
            return False
        self._claims[key] = held | {holder: (count, now + ttl_s)}
        return True

    async def close(self) -> None:
        """Nothing is open."""


CLAIM = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder, count, most, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local mine, others = 0, 0
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local had, expires = entries[i + 1]:match('(%d+):(%d+)')
  if tonumber(expires) <= now then redis.call('HDEL', KEYS[1], entries[i])
  elseif entries[i] == holder then mine = tonumber(had)
  else others = others + tonumber(had) end
end
if count > mine and others + count > most then return 0 end
redis.call('HSET', KEYS[1], holder, count .. ':' .. (now + ttl))
redis.call('PEXPIRE', KEYS[1], ttl)
return 1
"""
"""By the server's clock, in one step: replicas' clocks differ."""


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
        self._claim = self._redis.register_script(CLAIM)

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

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Watch the key, and begin anew when another wrote it in between."""
        milliseconds = max(1, math.ceil(ttl_s * 1000))

        async def exchange(pipe: Any) -> str:
            value = step(await pipe.get(self._prefix + key))
            pipe.multi()
            pipe.set(self._prefix + key, value, px=milliseconds)
            return value

        with self._errors():
            changed: str = await self._redis.transaction(
                exchange, self._prefix + key, value_from_callable=True
            )
        return changed

    async def claim(self, key: str, holder: str, count: int, most: int, ttl_s: float) -> bool:
        """Count in Lua, in one step."""
        arguments: list[str | int] = [holder, count, most, max(1, math.ceil(ttl_s * 1000))]
        with self._errors():
            return bool(await self._claim(keys=[self._prefix + key], args=arguments))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as exc:
            raise StateUnavailable(f"can't use Redis at {self._where}: {exc}") from exc


class SturdyState:
    """A shared state that goes on in memory while it can't be reached: one warning, no error."""

    def __init__(self, shared: SharedState, *, retry_s: float = 5.0) -> None:
        self._shared = shared
        self._local = MemoryState()
        self._retry_s = retry_s
        self._lost_until: float | None = None

    async def get(self, key: str) -> str | None:
        """Return the text that all see, else the one that this process put."""
        return await self._either(lambda state: state.get(key))

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep the text, for all where that is possible."""
        await self._either(lambda state: state.put(key, value, ttl_s))

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Change the text, for all where that is possible."""
        return await self._either(lambda state: state.change(key, step, ttl_s))

    async def claim(self, key: str, holder: str, count: int, most: int, ttl_s: float) -> bool:
        """Count with the others where that is possible, else only this process's own."""
        return await self._either(lambda state: state.claim(key, holder, count, most, ttl_s))

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
