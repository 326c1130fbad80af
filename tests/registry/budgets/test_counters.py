"""Counters of budgets, in memory and in Redis: the same steps, and no sum that is ever wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from collegium.errors import StateUnavailable
from collegium.registry.budgets.counters import (
    MILLION,
    Charge,
    Counters,
    Granted,
    Level,
    MemoryCounters,
    Missing,
    Refused,
    Wanted,
)
from collegium.registry.budgets.redis import RedisCounters
from tests.servers import RedisServer, free_port

DAY, MINUTE = "key:ada:usd:day:0", "key:ada:tokens:minute:0"


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.slow)])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    """Counters that nobody has used."""
    if request.param == "memory":
        yield MemoryCounters()
        return
    server: RedisServer = request.getfixturevalue("redis")
    prefix = f"test-{random.getrandbits(64):x}:"
    opened = RedisCounters(server.url, prefix=prefix)
    yield opened
    await opened.aclose()


def money(most: int, base: int = 10, per_million: int = 0) -> Charge:
    return Charge(DAY, most, base, per_million, expires_s=60.0)


async def granted(counters: Counters, hold: str, *charges: Charge, tokens: int = 0) -> Granted:
    found = await counters.reserve(hold, charges, Wanted(0, tokens, tokens))
    assert isinstance(found, Granted)
    return found


async def test_a_counter_begins_at_what_the_log_says(counters: Counters) -> None:
    """Before that nothing is reserved."""
    assert await counters.reserve("a", [money(100)], Wanted(0, 0, 0)) == Missing(0)
    assert await counters.levels([DAY]) == [None]
    number, holds = await counters.holding(DAY)
    assert holds == []
    await counters.seed(DAY, 70, number, 60.0)
    await counters.seed(DAY, 0, number, 60.0)  # another replica's, which came late
    assert (await granted(counters, "a", money(100))).levels == (Level(80, 10),)


async def test_what_is_held_counts_until_it_is_settled(counters: Counters) -> None:
    """The last that fits is granted, the next is refused, and what is given back is free again."""
    await counters.seed(DAY, 0, 0)
    for hold in ("a", "b", "c"):
        await granted(counters, hold, money(30))
    assert await counters.reserve("d", [money(30)], Wanted(0, 0, 0)) == Refused(0, Level(30, 30))
    await counters.settle("a", {DAY: 4})
    assert await counters.levels([DAY]) == [Level(24, 20)]
    assert await counters.reserve("d", [money(30, 7)], Wanted(0, 0, 0)) == Refused(0, Level(24, 20))
    await granted(counters, "d", money(30, 6))
    for hold in ("b", "c", "d"):
        await counters.settle(hold, {DAY: 6})
    assert await counters.levels([DAY]) == [Level(22, 0)]


async def test_an_answer_is_as_long_as_all_counters_allow(counters: Counters) -> None:
    """Nothing is reserved where one of them allows fewer tokens than are wanted at least."""
    await counters.seed(DAY, 0, 0)
    await counters.seed(MINUTE, 0, 0)
    charges = [money(1000, 100, 3 * MILLION), Charge(MINUTE, 400, 50, MILLION)]
    assert await counters.reserve("a", charges, Wanted(301, 900, 900)) == Refused(0, Level(0, 0))
    found = await counters.reserve("a", charges, Wanted(300, 900, 900))
    assert found == Granted(300, (Level(1000, 1000), Level(350, 350)))


@pytest.mark.parametrize("per_million", [1, 7, 999_999, 2_000_000_000, 75_000_000_000_000])
async def test_the_longest_answer_is_found_exactly(counters: Counters, per_million: int) -> None:
    """One token more would cost more than is left; amounts are rounded up."""
    left = 8_999_999_999_999
    await counters.seed(DAY, 0, 0)
    charge = money(left, 0, per_million)
    found = await granted(counters, "a", charge, tokens=10**9)
    assert charge.amount(found.tokens) <= left
    assert found.tokens == 10**9 or charge.amount(found.tokens + 1) > left
    assert found.levels[0].used == charge.amount(found.tokens)


async def test_who_need_not_have_more_leaves_something_to_others(counters: Counters) -> None:
    """What is usual is granted as long as it is there, more as a share of what is left; who is
    alone may have a quarter.
    """
    await counters.seed(DAY, 0, 0)
    charge = money(1600, 0, MILLION)
    want = Wanted(10, 50, 500)
    for hold, tokens in (("a", 400), ("b", 75), ("c", 70)):
        found = await counters.reserve(hold, [charge], want)
        assert isinstance(found, Granted)
        assert found.tokens == tokens
    await granted(counters, "d", money(1600, 1015))
    assert await counters.reserve("e", [charge], want) == Granted(40, (Level(1600, 1600),))


async def test_the_prompts_of_a_request_share_what_it_may_have(counters: Counters) -> None:
    """Alone it may have a quarter, whether that is one answer or ten."""
    await counters.seed(DAY, 0, 0)
    got = []
    for number in range(10):
        found = await counters.reserve(
            f"p{number}", [money(1600, 0, MILLION)], Wanted(1, 1, 500, parts=10)
        )
        assert isinstance(found, Granted)
        got.append(found.tokens)
    assert got[0] == 40
    assert 160 < sum(got) <= 400
    assert got == sorted(got, reverse=True)


async def test_redis_grants_what_memory_grants(counters: Counters) -> None:
    """At all levels, for amounts as large as there may be."""
    chance = random.Random(7)
    reference = MemoryCounters()
    for number in range(300):
        name, most = f"key:ada:usd:day:{number}", int(10 ** chance.uniform(2, 15.9))
        before, base = chance.randrange(most), chance.randrange(1 + most // 8)
        price, usual = int(10 ** chance.uniform(0, 13)), chance.randrange(1, 300)
        charge = Charge(name, most, base, price)
        want = Wanted(min(usual, 64), usual, 4 * usual, chance.choice([1, 1, 8]))
        found = []
        for store in (counters, reference):
            await store.seed(name, before, 0)
            await store.reserve(f"a{number}", [Charge(name, most, base // 2)], Wanted(0, 0, 0))
            found.append(await store.reserve(f"b{number}", [charge], want))
        mine, its = found
        assert type(mine) is type(its)
        if isinstance(mine, Granted) and isinstance(its, Granted):
            assert abs(mine.tokens - its.tokens) <= 1  # doubles
            assert mine.levels[0].used <= most


async def test_a_hold_grows(counters: Counters) -> None:
    """By what a further attempt may cost; it is settled as a whole."""
    await counters.seed(DAY, 0, 0)
    await granted(counters, "a", money(100))
    await granted(counters, "a", money(100, 25))
    assert await counters.levels([DAY]) == [Level(35, 35)]
    assert [held.hold for held in await counters.held()] == ["a"]
    await counters.settle("a", {DAY: 12})
    assert await counters.levels([DAY]) == [Level(12, 0)]
    assert await counters.held() == []


async def test_nothing_is_settled_twice(counters: Counters) -> None:
    """Of two sweeps the second finds nothing; else a lost hold has its counters seeded anew."""
    await counters.seed(DAY, 0, 0)
    await granted(counters, "a", money(100))
    await counters.settle("a", {DAY: 5})
    await counters.settle("a", {DAY: 5}, lapsed=True)
    assert await counters.levels([DAY]) == [Level(5, 0)]
    await counters.settle("a", {DAY: 5})
    assert await counters.levels([DAY]) == [None]


async def test_what_is_settled_while_a_counter_is_lost_is_counted_once(counters: Counters) -> None:
    """The log's sum leaves out what is held, and that stays held until the counter is there."""
    await counters.seed(DAY, 0, 0)
    for hold in ("a", "b"):
        await granted(counters, hold, money(100))
    await counters.drop([DAY])
    number, holds = await counters.holding(DAY)
    assert sorted(holds) == ["a", "b"]
    await counters.settle("a", {DAY: 3})
    await counters.seed(DAY, 50, number, 60.0)
    assert await counters.levels([DAY]) == [Level(63, 10)]
    await counters.settle("b", {DAY: 2})
    assert await counters.levels([DAY]) == [Level(55, 0)]


async def test_a_seed_that_is_out_of_date_is_ignored(counters: Counters) -> None:
    """Its sum may lack what has ended since it was made."""
    number, _ = await counters.holding(DAY)
    await counters.drop([DAY])
    await counters.seed(DAY, 50, number)
    assert await counters.levels([DAY]) == [None]


async def test_whoever_comes_at_once_never_gets_more_than_there_is(counters: Counters) -> None:
    """200 requests, of which some end in between: what is used never passes the limit."""
    most, seen = 1000, []
    await counters.seed(DAY, 0, 0)

    async def one(number: int) -> int:
        chance = random.Random(number)
        charge = money(most, chance.randrange(1, 60))
        found = await counters.reserve(str(number), [charge], Wanted(0, 0, 0))
        if not isinstance(found, Granted):
            return 0
        seen.append(found.levels[0].used)
        await asyncio.sleep(chance.random() / 100)
        took = chance.randrange(charge.base + 1)
        await counters.settle(str(number), {DAY: took})
        return took

    took = await asyncio.gather(*map(one, range(200)))
    assert max(seen) <= most
    assert await counters.levels([DAY]) == [Level(sum(took), 0)]


@pytest.mark.slow
async def test_other_processes_are_known_by_their_signs_of_life(redis: RedisServer) -> None:
    """Who has never been heard of is dead."""
    prefix = f"test-{random.getrandbits(64):x}:"
    one, other = (RedisCounters(redis.url, prefix=prefix) for _ in range(2))
    await one.seed(DAY, 0, 0)
    await granted(one, "a", money(100))
    (held,) = await other.held()
    assert (held.hold, held.counters, held.own, held.alive) == ("a", (DAY,), False, False)
    (own,) = await one.held()
    assert (own.own, own.alive) == (True, True)
    assert (await other.held())[0].alive
    await one.aclose()
    await other.aclose()


async def test_a_redis_that_is_away_is_told() -> None:
    """Nothing is granted then."""
    counters = RedisCounters(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StateUnavailable, match="budgets can't be enforced"):
        await counters.reserve("a", [money(100)], Wanted(0, 0, 0))
    await counters.aclose()
