"""Budget counters in Redis, shared by all replicas: each step is one script and one round trip."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from collegium.registry.budgets.counters import (
    ALONE,
    SHARES,
    Charge,
    Granted,
    Held,
    Level,
    Missing,
    Refused,
    Wanted,
)
from collegium.registry.redis_connection import connected, redis_errors

HEARD_OF_S = 15.0
"""A process that has not asked for so long is dead: `held` has to be asked more often."""
EXACT = "local function exact(n) return string.format('%.0f', n) end\n"
"""Lua 5.1 writes numbers above 1e14 with 14 digits."""
RESERVE = f"""{EXACT}
local hold, process = ARGV[1], ARGV[2]
local least, usual, most = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local parts = tonumber(ARGV[6])
local tokens, amounts = most, {{}}
for i = 2, #KEYS do
  local at = 4 * i - 1
  local level = redis.call('HMGET', KEYS[i], 'used', 'held')
  if not level[1] then return {{'missing', i - 2}} end
  local limit, base, per = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local left = limit - tonumber(level[1]) - base
  local fits = most
  if left < 0 then fits = -1
  elseif per > 0 then
    local unspent = limit - tonumber(level[1]) + tonumber(level[2] or '0')
    local alone = left - unspent + math.floor(unspent / {ALONE})
    local share = math.floor(math.max(math.floor(left / {SHARES}), alone) / parts)
    share = math.max(math.floor(share / per * 1e6), usual)
    fits = math.min(math.floor(left / per * 1e6), share, most)
    while fits >= 0 and math.ceil(per / 1e6 * fits) > left do fits = fits - 1 end
  end
  tokens = math.min(tokens, fits)
  if tokens < least then
    return {{'refused', i - 2, tonumber(level[1]), tonumber(level[2] or '0')}}
  end
end
local said = {{'granted', tokens}}
local counters = process
for i = 2, #KEYS do
  local at = 4 * i - 1
  local amount = exact(tonumber(ARGV[at + 1]) + math.ceil(tonumber(ARGV[at + 2]) / 1e6 * tokens))
  said[#said + 1] = redis.call('HINCRBY', KEYS[i], 'used', amount)
  said[#said + 1] = redis.call('HINCRBY', KEYS[i], 'held', amount)
  redis.call('HINCRBY', KEYS[i], 'h:' .. hold, amount)
  local ttl = tonumber(ARGV[at + 3])
  if ttl > 0 then redis.call('PEXPIRE', KEYS[i], ttl) end
  counters = counters .. '\\n' .. KEYS[i]
end
redis.call('HSET', KEYS[1], hold, counters)
return said
"""
SETTLE = """
local hold, lapsed = ARGV[1], ARGV[2]
local known = redis.call('HDEL', KEYS[1], hold) == 1
if not known and lapsed == '1' then return 0 end
for i = 2, #KEYS do
  local had = redis.call('HGET', KEYS[i], 'h:' .. hold)
  local used = redis.call('HGET', KEYS[i], 'used')
  if not known or not had then
    redis.call('HDEL', KEYS[i], 'used', 'held', 'h:' .. hold)
    redis.call('HINCRBY', KEYS[i], 'number', 1)
    redis.call('PEXPIRE', KEYS[i], 86400000)
  elseif not used then
    redis.call('HSET', KEYS[i], 'h:' .. hold, ARGV[i + 1], 'd:' .. hold, '1')
  else
    redis.call('HINCRBY', KEYS[i], 'used', ARGV[i + 1])
    if had ~= '0' then
      redis.call('HINCRBY', KEYS[i], 'used', '-' .. had)
      redis.call('HINCRBY', KEYS[i], 'held', '-' .. had)
    end
    redis.call('HDEL', KEYS[i], 'h:' .. hold)
  end
end
return 1
"""
SEED = f"""{EXACT}
local used = tonumber(ARGV[1])
if redis.call('HEXISTS', KEYS[1], 'used') == 1 then return 0 end
if (redis.call('HGET', KEYS[1], 'number') or '0') ~= ARGV[2] then return 0 end
local held, done = 0, {{}}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if fields[i]:sub(1, 2) == 'd:' then done[fields[i]:sub(3)] = true end
end
for i = 1, #fields, 2 do
  if fields[i]:sub(1, 2) == 'h:' then
    local hold, amount = fields[i]:sub(3), tonumber(fields[i + 1])
    used = used + amount
    if done[hold] then redis.call('HDEL', KEYS[1], 'h:' .. hold, 'd:' .. hold)
    else held = held + amount end
  end
end
redis.call('HSET', KEYS[1], 'used', exact(used), 'held', exact(held))
local ttl = tonumber(ARGV[3])
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], ttl) else redis.call('PERSIST', KEYS[1]) end
return 1
"""


class RedisCounters:
    """Counters that all replicas share. Keys have one hash tag, for scripts need one node."""

    def __init__(self, url: str, *, prefix: str = "collegium:", timeout_s: float = 2.0) -> None:
        self._redis = connected(url, timeout_s=timeout_s, decode_responses=True)
        self._prefix = f"{prefix}{{budgets}}:"
        self._open = f"{self._prefix}open"
        self._process = secrets.token_hex(8)
        self._reserve = self._redis.register_script(RESERVE)
        self._settle = self._redis.register_script(SETTLE)
        self._seed = self._redis.register_script(SEED)

    async def reserve(
        self, hold: str, charges: Sequence[Charge], want: Wanted
    ) -> Granted | Refused | Missing:
        """Compare and add in Lua."""
        wanted = want.least, want.usual, want.most, want.parts
        arguments: list[Any] = [hold, self._process, *wanted]
        for charge in charges:
            arguments += charge.most, charge.base, charge.per_million, _ms(charge.expires_s)
        keys = [self._open, *(self._key(charge.counter) for charge in charges)]
        with _errors():
            word, *numbers = await self._reserve(keys=keys, args=arguments)
        if word == "granted":
            tokens, *levels = numbers
            pairs = zip(levels[::2], levels[1::2], strict=True)
            return Granted(tokens, tuple(Level(*pair) for pair in pairs))
        if word == "refused":
            return Refused(numbers[0], Level(*numbers[1:]))
        return Missing(numbers[0])

    async def settle(self, hold: str, amounts: Mapping[str, int], *, lapsed: bool = False) -> None:
        """Subtract and add in Lua."""
        keys = [self._open, *map(self._key, amounts)]
        with _errors():
            await self._settle(keys=keys, args=[hold, int(lapsed), *amounts.values()])

    async def levels(self, counters: Sequence[str]) -> list[Level | None]:
        """Read all at once."""
        with _errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for counter in counters:
                    pipe.hmget(self._key(counter), ["used", "held"])
                found = await pipe.execute()
        return [None if used is None else Level(int(used), int(held)) for used, held in found]

    async def holding(self, counter: str) -> tuple[int, list[str]]:
        """Read its fields."""
        with _errors():
            found: Any = await self._redis.hgetall(self._key(counter))
        holds = [name.removeprefix("h:") for name in found if name.startswith("h:")]
        return int(found.get("number", 0)), holds

    async def seed(
        self, counter: str, used: int, number: int, expires_s: float | None = None
    ) -> None:
        """Add what is held in Lua."""
        with _errors():
            await self._seed(keys=[self._key(counter)], args=[used, number, _ms(expires_s)])

    async def drop(self, counters: Sequence[str]) -> None:
        """Delete the counts, but not what requests hold."""
        with _errors():
            async with self._redis.pipeline() as pipe:
                for key in map(self._key, counters):
                    pipe.hdel(key, "used", "held")
                    pipe.hincrby(key, "number", 1)
                await pipe.execute()

    async def held(self) -> list[Held]:
        """Mark this process as alive, and return what living processes hold."""
        with _errors():
            alive = f"{self._prefix}alive:"
            await self._redis.set(alive + self._process, "1", px=_ms(HEARD_OF_S))
            found: Any = await self._redis.hgetall(self._open)
            parts = {hold: text.split("\n") for hold, text in found.items()}
            processes = sorted({process for process, *_ in parts.values()})
            heard = await self._redis.mget([alive + each for each in processes]) if found else []
        living = {p for p, said in zip(processes, heard, strict=True) if said}
        return [
            Held(hold, tuple(map(self._counter, keys)), process == self._process, process in living)
            for hold, (process, *keys) in parts.items()
        ]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _key(self, counter: str) -> str:
        return f"{self._prefix}c:{counter}"

    def _counter(self, key: str) -> str:
        return key.removeprefix(f"{self._prefix}c:")


def _ms(seconds: float | None) -> int:
    """Milliseconds; 0 for what has no end."""
    return 0 if seconds is None else max(1, math.ceil(1000 * seconds))


def _errors() -> AbstractContextManager[None]:
    return redis_errors("Redis can't be reached, so budgets can't be enforced")
