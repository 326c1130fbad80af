"""A place's slots and queues: who waits, who is refused at once, and that no slot is lost."""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from typing import Any

import pytest

from collegium.errors import ExpertBusy
from collegium.experts.dispatch.place import Pace, Place
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
    with pytest.raises(ExpertBusy, match="2 requests are already waiting for it") as refusal:
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
        caller = chance.choice("ab")
        await place.enter("sql", Terms(caller), paced(0.001))
        try:
            await asyncio.sleep(0.001)
        finally:
            place.leave(caller)

    tasks = [asyncio.create_task(answer()) for _ in range(200)]
    for task in chance.sample(tasks, 60):
        await asyncio.sleep(chance.choice([0, 0, 0.001]))
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(o) for o in outcomes} <= {type(None), asyncio.CancelledError}
    assert place.busy == 0
    assert not +place.waiting


async def test_a_turn_that_comes_too_late_is_not_taken() -> None:
    """Who can no longer make the deadline is refused, and the slot goes to who still can."""
    place, pace = await full(), Pace()
    late = asyncio.create_task(place.enter("sql", by(30.0), pace))
    good = asyncio.create_task(place.enter("json", by(30.0), paced()))
    await asyncio.sleep(0)
    pace.served(100.0)  # slower than anybody knew when it was let in
    place.leave()
    await good
    with pytest.raises(ExpertBusy, match="too late"):
        await late
    assert place.busy == 1
    place.leave()
    assert (place.busy, +place.waiting) == (0, {})


class Clock(selectors.DefaultSelector):
    """Time that passes only when everybody waits: an event loop on it sleeps at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Go on to the next timer."""
        self.now += timeout or 0.0
        return super().select(0)


def answered_in_time(monkeypatch: pytest.MonkeyPatch, per_second: float) -> float:
    """Of what four slots can do in a minute, the share that was answered by its deadline."""
    clock, rng = Clock(), random.Random(7)
    place, pace, slots, mean_s, deadline_s = Place(4, 128, 120.0), Pace(), 4, 0.5, 2.0
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    in_time = 0

    async def ask() -> None:
        nonlocal in_time
        terms = by(deadline_s)
        try:
            await place.enter("sql", terms, pace)
        except ExpertBusy:
            return
        began = clock.now
        await asyncio.sleep(rng.uniform(0.0, 2 * mean_s))  # answers are of any length
        pace.served(clock.now - began)
        place.leave()
        in_time += (terms.left_s() or 0.0) >= 0.0

    async def minute() -> None:
        tasks = []
        while clock.now < 60.0:
            tasks.append(asyncio.create_task(ask()))
            await asyncio.sleep(rng.expovariate(per_second))
        await asyncio.gather(*tasks)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(clock)) as runner:
        runner.run(minute())
    monkeypatch.undo()
    return in_time / (60.0 * slots / mean_s)


@pytest.mark.parametrize("overload", [2, 10, 50])
def test_overload_does_not_lower_what_is_answered_in_time(
    monkeypatch: pytest.MonkeyPatch, overload: int
) -> None:
    """Ten times as many requests as fit: nearly as many good answers as the slots can make."""
    assert answered_in_time(monkeypatch, overload * 8.0) > 0.8


async def test_one_caller_leaves_a_slot_to_others() -> None:
    """Once there are others: who asks last need not wait for the end of a long answer."""
    place, pace = Place(4, 100, 30.0), Pace()
    for _ in range(4):
        await place.enter("sql", Terms("greedy"), pace)  # alone it may have all
    place.leave("greedy")
    await place.enter("sql", Terms("other"), pace)
    place.leave("other")
    waiting = asyncio.create_task(place.enter("sql", Terms("greedy"), pace))
    await asyncio.sleep(0)
    assert not waiting.done()
    await place.enter("sql", Terms("other"), pace)  # at once
    place.leave("greedy")
    await waiting


async def test_a_full_queue_is_full_for_who_filled_it() -> None:
    """Others have their part of it."""
    place, pace = Place(1, 4, 30.0), Pace()
    await place.enter("sql", Terms("greedy"), pace)
    greedy = [asyncio.create_task(place.enter("sql", Terms("greedy"), pace)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(ExpertBusy, match="are already waiting for it"):
        await place.enter("sql", Terms("greedy"), pace)
    other = [asyncio.create_task(place.enter("sql", Terms("other"), pace)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in other)
    with pytest.raises(ExpertBusy, match="are already waiting for it"):
        await place.enter("sql", Terms("other"), pace)
    for task in (*greedy, *other):
        task.cancel()
    await asyncio.gather(*greedy, *other, return_exceptions=True)
    assert place.waiting["sql"] == 0
