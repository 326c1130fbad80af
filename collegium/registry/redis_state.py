"""State that replicas share in Redis."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any, cast

from collegium.registry.claims import KEPT_FREE, REFUSED, TAKEN, WANTED, WANTED_S, Answer
from collegium.registry.redis_connection import connected, redis_errors
from collegium.registry.state import Step

CLAIM = f"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local moment = time[1] * 1000000 + time[2] -- of two in one millisecond, one came first
local holder, count, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl, leave, wanted = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local mine, others, waiting = {{count = 0, waits_since = 0, waits_until = 0}}, 0, {{}}
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local number, expires, from, till = held[i + 1]:match('(%d+):(%d+):?(%d*):?(%d*)')
  local claim = {{count = tonumber(number)}}
  claim.waits_since, claim.waits_until = tonumber(from) or 0, tonumber(till) or 0
  if tonumber(expires) <= now then redis.call('HDEL', KEYS[1], held[i])
  elseif held[i] == holder then mine = claim
  else
    others = others + claim.count
    if claim.waits_until > now then waiting[#waiting + 1] = claim end
  end
end
local since = mine.waits_until > now and mine.waits_since or moment
local free = most - count - others
local function keep()
  redis.call('HSET', KEYS[1], holder, string.format(
    '%d:%.0f:%.0f:%.0f', mine.count, now + ttl, mine.waits_since, mine.waits_until))
  redis.call('PEXPIRE', KEYS[1], ttl)
end
if count > mine.count then
  local earlier = 0
  for _, claim in ipairs(waiting) do
    if claim.waits_since < since then earlier = earlier + 1 end
  end
  if free < math.max(earlier, leave) then
    mine.waits_since, mine.waits_until = since, now + wanted
    keep()
    return {REFUSED}
  end
  mine.waits_until = 0
end
mine.count = count
keep()
if #waiting > 0 or free < math.floor(most / {KEPT_FREE}) then return {WANTED} end
return {TAKEN}
"""
"""What `Claims.claim` does, which says why; names and order are the same. Atomic, and by the clock
of the server, because the clocks of replicas differ.
"""


class RedisState:
    """State that all replicas share; keys have a prefix, because others may use the server too."""

    def __init__(self, url: str, *, prefix: str = "collegium:", timeout_s: float = 2.0) -> None:
        self._prefix = prefix
        self._redis = connected(url, timeout_s=timeout_s, decode_responses=True)
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
        amounts = [count, most, ttl_ms, leave, wanted_ms]
        with self._errors():
            answer = await self._claim(keys=[self._prefix + key], args=[holder, *amounts])
        return cast("Answer", int(answer))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _errors(self) -> AbstractContextManager[None]:
        return redis_errors(f"can't use Redis at {self._where}")
