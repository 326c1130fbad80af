"""State that replicas share in Redis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from redis import asyncio as redis
from redis.exceptions import RedisError

from collegium.errors import SettingsError, StateUnavailable
from collegium.registry.claims import KEPT_FREE, WANTED_S, Answer
from collegium.registry.state import Step

CLAIM = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local moment = time[1] * 1000000 + time[2] -- of two in one millisecond, one came first
local holder, count, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl, wanted, leave = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local mine, since, till, others, waiting = 0, moment, 0, 0, {}
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local had, expires, from, till_then = entries[i + 1]:match('(%d+):(%d+):?(%d*):?(%d*)')
  from, till_then = tonumber(from) or 0, tonumber(till_then) or 0
  if tonumber(expires) <= now then redis.call('HDEL', KEYS[1], entries[i])
  elseif entries[i] == holder then
    mine = tonumber(had)
    if till_then > now then since, till = from, till_then end
  else
    others = others + tonumber(had)
    if till_then > now then waiting[#waiting + 1] = from end
  end
end
local free = most - count - others
local answer = 1
if #waiting > 0 or free < math.floor(most / tonumber(ARGV[7])) then answer = 2 end
if count > mine then
  local earlier = 0
  for _, from in ipairs(waiting) do if from < since then earlier = earlier + 1 end end
  if free < math.max(earlier, leave) then answer, count, till = 0, mine, now + wanted
  else till = 0 end
end
redis.call('HSET', KEYS[1], holder,
  string.format('%d:%.0f:%.0f:%.0f', count, now + ttl, since, till))
redis.call('PEXPIRE', KEYS[1], ttl)
return answer
"""
"""Atomic, and uses the server's clock, because the clocks of replicas differ. `claims.py` does the
same in this process, and says why.
"""


class RedisState:
    """State that all replicas share; keys have a prefix, because others may use the server too."""

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
        """Return the text, or None if there is none or it has expired."""
        with self._errors():
            value = await self._redis.get(self._prefix + key)
        return value.decode() if isinstance(value, bytes) else value

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Store the text for this many seconds."""
        milliseconds = max(1, math.ceil(ttl_s * 1000))
        with self._errors():
            await self._redis.set(self._prefix + key, value, px=milliseconds)

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Watch the key, and start again if another process wrote it in between."""
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

    async def claim(
        self, key: str, holder: str, count: int, most: int, ttl_s: float, leave: int = 0
    ) -> Answer:
        """Count in Lua, in one step."""
        ttl_ms, wanted_ms = max(1, math.ceil(ttl_s * 1000)), round(WANTED_S * 1000)
        amounts = [count, most, ttl_ms, wanted_ms, leave, KEPT_FREE]
        with self._errors():
            answer = await self._claim(keys=[self._prefix + key], args=[holder, *amounts])
        return cast("Answer", int(answer))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as exc:
            raise StateUnavailable(f"can't use Redis at {self._where}: {exc}") from exc
