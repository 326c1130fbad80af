"""A place's slots and queues: who waits, who is refused at once, and that no slot is lost."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from collegium.errors import ExpertBusy
from collegium.experts.dispatch.pace import Pace
from collegium.experts.dispatch.place import Place
from collegium.experts.dispatch.terms import Terms


def paced(service_s: float = 1.0) -> Pace:
    """A pace that was measured."""
    pace = Pace()
    pace.served(service_s)
    return pace


def by(seconds: float, **fields: object) -> Terms:
    """Terms with a deadline so far from now."""
    return Terms(deadline=time.monotonic() + seconds, **fields)  # type: ignore[arg-type]


async def full(slots: int = 1, *, depth: int = 8, patience_s: float = 30.0) -> Place:
    """A place whose slots are all taken."""
    place = Place(slots, depth, patience_s)
    for _ in range(slots):
        await place.enter("sql", Terms(), paced())
    return place


async def test_no_more_run_at_once_than_there_are_slots() -> None:
    """Adapters on one engine share them."""
    place, most, now = Place(4, 100, 30.0), 0, 0

    async def answer(expert: str) -> None:
        nonlocal most, now
        await place.enter(expert, Terms(), paced())
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        place.leave()

    await asyncio.gather(*(answer(name) for name in ("sql", "json") * 25))
    assert (most, now, place.busy) == (4, 0, 0)
    assert not +place.waiting


async def test_a_full_queue_refuses_at_once() -> None:
    """With a time to come back; the other expert's queue is its own."""
    place = await full(depth=2)
    waiting = [asyncio.create_task(place.enter("sql", Terms(), paced())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ExpertBusy, match="2 requests wait for it") as refusal:
        await place.enter("sql", Terms(), paced())
    assert refusal.value.retry_after_s == 3
    other = asyncio.create_task(place.enter("json", Terms(), paced()))
    await asyncio.sleep(0)
    assert place.waiting["json"] == 1
    for _ in range(4):
        place.leave()
    await asyncio.gather(*waiting, other)


async def test_who_can_not_make_the_deadline_is_refused_at_once() -> None:
    """Waiting of one second and two to answer do not fit into two and a half."""
    place = await full()
    with pytest.raises(ExpertBusy, match="too late") as refusal:
        await place.enter("sql", by(2.5, expected_s=2.0), paced())
    assert refusal.value.retry_after_s == 1
    entered = asyncio.create_task(place.enter("sql", by(3.5, expected_s=2.0), paced()))
    await asyncio.sleep(0)
    place.leave()
    await entered


async def test_a_queue_that_moves_too_slowly_is_left_at_the_deadline() -> None:
    """An estimate may be wrong; nobody waits beyond the deadline for it."""
    place = await full()
    started = time.monotonic()
    with pytest.raises(ExpertBusy, match="too slowly"):
        await place.enter("sql", by(0.1), Pace())
    assert time.monotonic() - started < 5
    place.leave()
    await place.enter("sql", Terms(), Pace())  # the slot was not lost


async def test_background_lets_everybody_pass() -> None:
    """It comes when nobody else waits."""
    place, order = await full(), []

    async def answer(name: str, terms: Terms) -> None:
        await place.enter("sql", terms, paced())
        order.append(name)
        place.leave()

    tasks = [asyncio.create_task(answer("later", Terms(priority="background")))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(answer(name, Terms("a"))) for name in ("first", "second")]
    await asyncio.sleep(0)
    place.leave()
    await asyncio.gather(*tasks)
    assert order == ["first", "second", "later"]


async def test_a_waiting_caller_is_told_of_its_own_place_in_the_queue() -> None:
    """Ten of another's are ahead of it by one only."""
    place = await full(2, depth=20)
    tasks = [asyncio.create_task(place.enter("sql", Terms("a"), paced(4.0))) for _ in range(10)]
    await asyncio.sleep(0)
    assert place.wait_s(Terms("b"), paced(4.0)) == 2 * 4.0 / 2
    assert place.wait_s(Terms("a"), paced(4.0)) == 11 * 4.0 / 2
    assert place.wait_s(Terms("b", "background"), paced(4.0)) == 11 * 4.0 / 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert place.wait_s(Terms("a"), paced(4.0)) == 1 * 4.0 / 2


@pytest.mark.parametrize("seed", range(5))
async def test_no_slot_is_lost_whoever_leaves_when(seed: int) -> None:
    """Cancelled while waiting, in the very moment of the turn, or while answering."""
    place, chance = Place(3, 1000, 30.0), random.Random(seed)

    async def answer() -> None:
        await place.enter("sql", Terms(chance.choice("ab")), paced(0.001))
        try:
            await asyncio.sleep(0.001)
        finally:
            place.leave()

    tasks = [asyncio.create_task(answer()) for _ in range(200)]
    for task in chance.sample(tasks, 60):
        await asyncio.sleep(chance.choice([0, 0, 0.001]))
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(o) for o in outcomes} <= {type(None), asyncio.CancelledError}
    assert place.busy == 0
    assert not +place.waiting
