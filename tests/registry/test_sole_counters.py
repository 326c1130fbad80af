"""Of several processes that share a database without Redis, one counts budgets."""

from __future__ import annotations

import asyncio

import pytest

from collegium.errors import StateUnavailable
from collegium.registry.budgets.counters import Charge, Granted, Level, Missing, Wanted
from collegium.registry.leases import Leases
from collegium.registry.sole_counters import FRESH_S, SoleCounters
from collegium.registry.storage.database import Database

DAY = "key:ada:usd:day:0"
NOTHING = Wanted(0, 0, 0)
CHARGE = [Charge(DAY, 100, 10, 0, expires_s=60.0)]


async def reserved(counters: SoleCounters, hold: str) -> Level:
    """What the counter shows after one reservation; seeded with 0 where it is not known."""
    found = await counters.reserve(hold, CHARGE, NOTHING)
    if isinstance(found, Missing):
        number, _ = await counters.holding(DAY)
        await counters.seed(DAY, 0, number, 60.0)
        found = await counters.reserve(hold, CHARGE, NOTHING)
    assert isinstance(found, Granted)
    return found.levels[0]


async def test_the_second_process_refuses_and_says_why(database: Database) -> None:
    """It says what to set; the first one goes on."""
    first, second = SoleCounters(Leases(database)), SoleCounters(Leases(database))
    assert await reserved(first, "a") == Level(10, 10)
    for _ in range(2):
        with pytest.raises(StateUnavailable, match="set redis_url"):
            await second.reserve("b", CHARGE, NOTHING)
    assert await reserved(first, "c") == Level(20, 20)


async def test_it_takes_over_when_the_first_one_stops(database: Database) -> None:
    """And counts from the log, also where it had shown levels before."""
    first, second = SoleCounters(Leases(database)), SoleCounters(Leases(database))
    await reserved(first, "a")
    await second.seed(DAY, 70, 0, 60.0)
    assert await second.levels([DAY]) == [Level(70, 0)]
    await asyncio.sleep(FRESH_S + 0.1)
    assert await second.levels([DAY]) == [None], "the log is read again while another one counts"
    await first.aclose()
    assert isinstance(await second.reserve("b", CHARGE, NOTHING), Missing)
    assert await reserved(second, "b") == Level(10, 10)
    assert await second.levels([DAY]) == [Level(10, 10)]


async def test_a_process_that_was_not_heard_of_counts_anew(database: Database) -> None:
    """Another one may have counted meanwhile. While it is heard of, it goes on."""
    first = SoleCounters(Leases(database), lease_s=0.6, sure_s=0.4)
    second = SoleCounters(Leases(database), lease_s=0.6, sure_s=0.4)
    await reserved(first, "a")
    for _ in range(4):
        await asyncio.sleep(0.2)
        await first.held()
    with pytest.raises(StateUnavailable):
        await second.reserve("b", CHARGE, NOTHING)
    await asyncio.sleep(1.2)
    await reserved(second, "b")
    with pytest.raises(StateUnavailable):
        await first.reserve("c", CHARGE, NOTHING)
    await asyncio.sleep(1.2)
    assert isinstance(await first.reserve("d", CHARGE, NOTHING), Missing)
