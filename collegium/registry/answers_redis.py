"""Answers of the response cache in Redis, for all replicas: one script and one round trip per step.

`values` holds the answers by key, `decisions`, `owners` and `keys` say whose they are, `used` and
`expires` have the times. `order` sorts the keys of each owner by use, `shares` the owners by bytes,
and `bytes` is the total size. All of them expire with the last answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from collegium.registry.answers import OVERHEAD, Held
from collegium.registry.redis_connection import connected, redis_errors

TIMEOUT_S = 0.5
"""Timeout; a slower cache would be of no use."""
TAG = "{answers-2}"
"""The 2 is that of the layout: versions of the service with another layout share nothing."""
PARTS = (
    "values",
    "decisions",
    "owners",
    "keys",
    "used",
    "expires",
    "order",
    "shares",
    "bytes",
)
COMMON = f"""
local values, decisions, owners, keys, used, expires, order, shares, bytes = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', unpack(KEYS)) < #KEYS then redis.call('DEL', unpack(KEYS)) end
local function add(owner, size)
  if tonumber(redis.call('ZINCRBY', shares, size, owner)) <= 0 then
    redis.call('ZREM', shares, owner)
  end
  return redis.call('INCRBY', bytes, size)
end
local function place(owner, at, key)
  return owner .. '\\0' .. string.format('%015d', at) .. '\\0' .. key
end
local function drop(key)
  if redis.call('HEXISTS', values, key) == 0 then return 0 end
  local size = redis.call('HSTRLEN', values, key)
  local owner, at = redis.call('HGET', owners, key), redis.call('HGET', used, key)
  redis.call('HDEL', values, key)
  redis.call('HDEL', keys, redis.call('HGET', decisions, key) or '')
  redis.call('HDEL', decisions, key)
  redis.call('HDEL', owners, key)
  redis.call('HDEL', used, key)
  redis.call('ZREM', expires, key)
  redis.call('ZREM', order, place(owner, at, key))
  add(owner, -size - {OVERHEAD})
  return 1
end
local function use(owner, key)
  local before = redis.call('HGET', used, key)
  if before then redis.call('ZREM', order, place(owner, before, key)) end
  redis.call('HSET', used, key, now)
  redis.call('ZADD', order, 0, place(owner, now, key))
end
"""
"""Uses the server's clock, because the clocks of replicas differ. If Redis has evicted some of the
keys, the others are deleted, so that the sums are never wrong.
"""
GET = f"""{COMMON}
local ends = redis.call('ZSCORE', expires, ARGV[1])
if not ends or tonumber(ends) <= now then return false end
use(redis.call('HGET', owners, ARGV[1]), ARGV[1])
return redis.call('HGET', values, ARGV[1])
"""
PUT = f"""{COMMON}
local key, decision, value, owner = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ttl, most = tonumber(ARGV[5]), tonumber(ARGV[6])
drop(key)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', expires, '-inf', now)) do drop(old) end
redis.call('HSET', values, key, value)
redis.call('HSET', decisions, key, decision)
redis.call('HSET', owners, key, owner)
redis.call('HSET', keys, decision, key)
redis.call('ZADD', expires, now + ttl, key)
use(owner, key)
local sum = add(owner, #value + {OVERHEAD})
while sum > most do
  local largest = redis.call('ZRANGE', shares, -1, -1)[1]
  local first = redis.call('ZRANGEBYLEX', order, '[' .. largest .. '\\0', '+', 'LIMIT', 0, 1)[1]
  drop(string.sub(first, #largest + 18))
  sum = tonumber(redis.call('GET', bytes))
end
for _, part in ipairs(KEYS) do redis.call('PEXPIRE', part, ttl) end
return 1
"""
FORGET = f"""{COMMON}
local count = 0
for _, decision in ipairs(ARGV) do
  local key = redis.call('HGET', keys, decision)
  if key then count = count + drop(key) end
end
return count
"""
CLEAR = """
local count = redis.call('HLEN', KEYS[1])
redis.call('DEL', unpack(KEYS))
return count
"""


class RedisAnswers:
    """Answers that all replicas share. Keys have one hash tag, because scripts need one node."""

    def __init__(
        self, url: str, *, ttl_s: float, most_bytes: int, prefix: str = "collegium:"
    ) -> None:
        self._redis = connected(url, timeout_s=TIMEOUT_S)
        self._limits = max(1, math.ceil(1000 * ttl_s)), most_bytes
        self._parts = [f"{prefix}{TAG}:{part}" for part in PARTS]
        self._get = self._redis.register_script(GET)
        self._put = self._redis.register_script(PUT)
        self._forget = self._redis.register_script(FORGET)
        self._clear = self._redis.register_script(CLEAR)

    async def get(self, key: str) -> bytes | None:
        """Return the value; None if there is none or it has expired."""
        with _errors():
            found: bytes | None = await self._get(keys=self._parts, args=[key])
        return found

    async def put(self, key: str, decision: str, value: bytes, owner: str) -> None:
        """Store a value of an owner, replacing an earlier one of the same key."""
        with _errors():
            await self._put(keys=self._parts, args=[key, decision, value, owner, *self._limits])

    async def forget(self, decisions: Iterable[str]) -> int:
        """Delete the values of some decisions; return how many there were."""
        with _errors():
            return int(await self._forget(keys=self._parts, args=list(decisions)))

    async def clear(self) -> int:
        """Delete all values; return how many there were."""
        with _errors():
            return int(await self._clear(keys=self._parts))

    async def held(self) -> Held:
        """Return the contents."""
        values, *_, size = self._parts
        with _errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hlen(values)
                pipe.get(size)
                found: Any = await pipe.execute()
        return Held(int(found[0]), int(found[1] or 0))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _errors() -> AbstractContextManager[None]:
    return redis_errors("Redis can't be reached, so nothing is cached")
