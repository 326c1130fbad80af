"""Stores of the response cache, in memory and in Redis: bounds, age and deletion are exact."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

from collegium.errors import StateUnavailable
from collegium.registry.answers import OVERHEAD, AnswerStore, Held, MemoryAnswers
from collegium.registry.answers_redis import PARTS, TAG, RedisAnswers
from tests.servers import RedisServer, free_port

TTL_S = 0.4
SIZE = 100
Open = Callable[..., AnswerStore]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.slow)])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Makes stores that nobody has used."""
    stores: list[AnswerStore] = []

    def make(*, ttl_s: float = 60.0, entries: int = 100) -> AnswerStore:
        most = entries * (SIZE + OVERHEAD)
        if request.param == "memory":
            stores.append(MemoryAnswers(ttl_s=ttl_s, most_bytes=most))
        else:
            server: RedisServer = request.getfixturevalue("redis")
            prefix = f"test-{random.getrandbits(64):x}:"
            stores.append(RedisAnswers(server.url, ttl_s=ttl_s, most_bytes=most, prefix=prefix))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


async def put(store: AnswerStore, *names: str, size: int = SIZE, owner: str = "ann") -> None:
    for name in names:
        await store.put(name, f"dec_{name}", name[0].encode() * size, owner)
        await asyncio.sleep(0.002)  # Redis sorts by milliseconds


async def kept(store: AnswerStore, names: str) -> str:
    return "".join([name for name in names if await store.get(name) is not None])


async def test_values_are_given_back_as_they_were_put(opened: Open) -> None:
    """Any bytes; the last one of a key stays."""
    store = opened()
    assert await store.get("a") is None
    await store.put("a", "dec_1", b"first", "ann")
    await store.put("a", "dec_2", b"\x00\xff\r\n second", "")
    assert await store.get("a") == b"\x00\xff\r\n second"
    assert await store.held() == Held(1, 11 + OVERHEAD)
    assert await store.forget(["dec_1"]) == 0
    assert await store.get("a") is not None


async def test_the_least_recently_used_go_first(opened: Open) -> None:
    """The bound is kept to the byte."""
    store = opened(entries=3)
    await put(store, "a", "b", "c")
    assert await kept(store, "a") == "a"
    await put(store, "d")
    assert await kept(store, "abcd") == "acd"
    assert (await store.held()).bytes == 3 * (SIZE + OVERHEAD)
    await put(store, "e", size=3 * (SIZE + OVERHEAD))  # larger than all there is room for
    assert await store.held() == Held(0, 0)


async def test_nobodys_answers_are_evicted_for_anothers_flood(opened: Open) -> None:
    """The owner who stores most loses the least recently used ones; a quarter each is safe."""
    store = opened(entries=8)
    await put(store, "a", "b", owner="ann")
    await put(store, "c", "d", owner="")
    await put(store, *"efghijklmnop", owner="an")
    assert await kept(store, "abcd") == "abcd"
    assert await kept(store, "efghijklmnop") == "mnop"
    await put(store, "q", owner="ann")
    assert await kept(store, "abcdmnopq") == "abcdnopq"
    await put(store, "r", size=2 * (SIZE + OVERHEAD) - OVERHEAD, owner="ann")
    assert await kept(store, "cdnop") == "cdnop"
    assert await kept(store, "abqr") == "qr"
    assert (await store.held()).bytes == 8 * (SIZE + OVERHEAD)


async def test_a_value_belongs_to_who_stored_it_last(opened: Open) -> None:
    """With one cache for all callers they share keys; what was stored is counted once."""
    store = opened(entries=4)
    await put(store, "a", owner="ann")
    await put(store, "a", "b", owner="bob")
    await put(store, "c", "d", "e", owner="ann")
    assert await kept(store, "abcde") == "abde"
    await put(store, "e", owner="bob")
    await put(store, "f", owner="ann")
    assert await kept(store, "abcdef") == "bdef"


async def test_values_go_when_their_time_is_over(opened: Open) -> None:
    """Reading one does not make it younger; what is gone gives its room back."""
    store = opened(ttl_s=TTL_S)
    await put(store, "a")
    for _ in range(3):
        await asyncio.sleep(TTL_S / 4)
        assert await kept(store, "a") == "a"
    await put(store, "b")
    await asyncio.sleep(TTL_S / 2)
    assert await kept(store, "ab") == "b"
    await put(store, "c")
    assert await store.held() == Held(2, 2 * (SIZE + OVERHEAD))
    await asyncio.sleep(1.5 * TTL_S)
    assert await store.held() == Held(0, 0)


async def test_decisions_take_their_values_along(opened: Open) -> None:
    """Others stay; what is forgotten twice is forgotten."""
    store = opened()
    await put(store, "a", "b", "c")
    assert await store.forget(["dec_a", "dec_c", "dec_x"]) == 2
    assert await kept(store, "abc") == "b"
    assert await store.forget(["dec_a"]) == 0
    assert await store.clear() == 1
    assert await store.held() == Held(0, 0)


async def test_the_sum_is_right_after_many_steps(opened: Open) -> None:
    """Puts, reads and deletions of random sizes, many at once."""
    store, chance = opened(entries=20), random.Random(7)

    async def step(number: int) -> None:
        name = str(chance.randrange(60))
        match number % 3:
            case 0:
                value, owner = b"x" * chance.randrange(400), chance.choice(("ann", "bob", ""))
                await store.put(name, f"dec_{number}", value, owner)
            case 1:
                await store.get(name)
            case _:
                await store.forget([f"dec_{chance.randrange(number + 1)}"])

    for start in range(0, 1200, 15):  # fewer than there are connections
        await asyncio.gather(*(step(n) for n in range(start, start + 15)))
    values = [await store.get(str(n)) for n in range(60)]
    found = [len(value) + OVERHEAD for value in values if value is not None]
    assert await store.held() == Held(len(found), sum(found))
    assert sum(found) <= 20 * (SIZE + OVERHEAD)


async def test_a_redis_that_is_away_is_named() -> None:
    """Soon: a cache that has to be waited for is no use."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    store = RedisAnswers(url, ttl_s=1.0, most_bytes=1000)
    async with asyncio.timeout(5):
        with pytest.raises(StateUnavailable, match="nothing is cached"):
            await store.get("a")
        with pytest.raises(StateUnavailable):
            await store.forget(["dec_a"])
    await store.close()


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
async def test_what_redis_lost_in_part_is_begun_anew(redis: RedisServer, part: str) -> None:
    """It may evict one of the keys: then all are, so no sum is wrong."""
    prefix = f"test-{random.getrandbits(64):x}:"
    store = RedisAnswers(redis.url, ttl_s=60.0, most_bytes=10**6, prefix=prefix)
    await put(store, "a", "b")
    from redis import asyncio as client

    raw = client.from_url(redis.url)
    await raw.delete(f"{prefix}{TAG}:{part}")
    assert await store.get("a") is None
    await put(store, "c")
    assert await store.held() == Held(1, SIZE + OVERHEAD)
    assert await kept(store, "abc") == "c"
    await raw.aclose()
    await store.close()
