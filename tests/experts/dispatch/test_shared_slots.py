"""Slots that replicas share: what a replica keeps for its next request, and what others get."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from collegium.errors import ExpertBusy, StateUnavailable
from collegium.experts.dispatch.shared_slots import KEEP_S, SharedSlots
from collegium.experts.dispatch.terms import Priority, Terms
from collegium.registry.claims import WANTED_S, Answer
from collegium.registry.state import MemoryState

PLACE, EXPERT = "http://upstream/v1", "sql"
HASTE_S = 0.02


class Counted(MemoryState):
    """A state that counts what it is asked, and takes a moment for it, as Redis does."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    async def claim(
        self, key: str, holder: str, count: int, most: int, ttl_s: float, leave: int = 0
    ) -> Answer:
        self.calls += 1
        await asyncio.sleep(0)
        return await super().claim(key, holder, count, most, ttl_s, leave)


def soon() -> Terms:
    """Terms of a request that waits for 20 ms."""
    return Terms(deadline=time.monotonic() + HASTE_S)


async def test_a_slot_is_kept_for_the_next_request() -> None:
    """Requests that follow each other claim one slot, and release it once."""
    state = Counted()
    slots = SharedSlots(state, "one")
    for _ in range(20):
        async with slots.held(PLACE, EXPERT, 16, soon(), 1.0):
            pass
    assert state.calls == 1
    await slots.aclose()
    assert state.calls == 2


async def test_others_get_what_is_not_used() -> None:
    """A kept slot is theirs after a moment; of few slots none is kept."""
    state = Counted()
    one, other = SharedSlots(state, "one"), SharedSlots(state, "other")
    async with one.held(PLACE, EXPERT, 8, soon(), 1.0):
        pass
    await asyncio.sleep(2 * KEEP_S)
    for _ in range(8):
        await other.take(PLACE, EXPERT, 8, soon(), 1.0)
    with pytest.raises(ExpertBusy, match="all 8 slots"):
        await one.take(PLACE, EXPERT, 8, soon(), 1.0)
    async with one.held("few", EXPERT, 1, soon(), 1.0):
        pass
    await asyncio.sleep(HASTE_S)
    await other.take("few", EXPERT, 1, soon(), 1.0)
    await one.aclose()
    await other.aclose()


async def test_a_burst_that_ends_is_released_at_once() -> None:
    """No more than an eighth is kept."""
    state = Counted()
    one, other = SharedSlots(state, "one"), SharedSlots(state, "other")
    for _ in range(16):
        await one.take(PLACE, EXPERT, 16, soon(), 1.0)
    for _ in range(16):
        one.give(PLACE, "")
    await asyncio.sleep(KEEP_S / 10)
    for _ in range(14):
        await other.take(PLACE, EXPERT, 16, soon(), 1.0)
    await one.aclose()
    await other.aclose()


@pytest.mark.parametrize("seed", range(4))
async def test_together_they_never_use_more_than_there_are(seed: int) -> None:
    """Three replicas, whatever ends or is cancelled when; in the end all slots are free."""
    rng, state, most = random.Random(seed), Counted(), 9
    replicas = [SharedSlots(state, str(n)) for n in range(3)]
    used = peak = 0

    async def request(slots: SharedSlots) -> None:
        nonlocal used, peak
        async with slots.held(PLACE, EXPERT, most, Terms(), 5.0):
            used += 1
            peak = max(peak, used)
            try:
                await asyncio.sleep(rng.random() / 100)
            finally:
                used -= 1

    async def maybe_cancelled() -> None:
        task = asyncio.create_task(request(rng.choice(replicas)))
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() / 100)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(*(maybe_cancelled() for _ in range(150)))
    assert peak == most
    await asyncio.sleep(WANTED_S + KEEP_S)  # who gave up is waited for
    for _ in range(most):
        await replicas[0].take(PLACE, EXPERT, most, soon(), 1.0)
    for replica in replicas:
        await replica.aclose()


async def test_a_busy_replica_leaves_slots_to_another() -> None:
    """The other comes later, and both always have more requests than there are slots."""
    state, made = MemoryState(), {"busy": 0, "late": 0}
    end = time.monotonic() + 1.5

    async def user(name: str, slots: SharedSlots) -> None:
        while time.monotonic() < end:
            async with slots.held(PLACE, EXPERT, 4, Terms(), 5.0):
                await asyncio.sleep(0.01)
            made[name] += 1

    async def users(name: str) -> None:
        slots = SharedSlots(state, name)
        await asyncio.gather(*(user(name, slots) for _ in range(8)))
        await slots.aclose()

    busy = asyncio.create_task(users("busy"))
    await asyncio.sleep(0.1)
    await asyncio.gather(busy, users("late"))
    assert made["late"] > made["busy"] / 3, made
    assert sum(made.values()) > 0.6 * 1.5 / 0.01 * 4, "slots stayed empty"


async def test_a_caller_leaves_slots_to_one_who_has_none() -> None:
    """In all replicas together: who asks for the first one has it at once, wherever that is."""
    state = MemoryState()
    one, other = SharedSlots(state, "one"), SharedSlots(state, "other")
    for number in range(14):
        terms = Terms("greedy", deadline=soon().deadline)
        await (one, other)[number % 2].take(PLACE, EXPERT, 16, terms, 1.0)
    for slots in (one, other):
        with pytest.raises(ExpertBusy):
            await slots.take(PLACE, EXPERT, 16, Terms("greedy", deadline=soon().deadline), 1.0)
    for slots in (one, other):
        await slots.take(PLACE, EXPERT, 16, Terms("modest", deadline=soon().deadline), 1.0)
    await one.aclose()
    await other.aclose()


async def test_the_caller_with_the_fewest_slots_is_next() -> None:
    """A request of a caller who has many waits longer than one of a caller who has none."""
    slots, order = SharedSlots(MemoryState(), "one"), list[str]()

    async def ask(caller: str, priority: Priority = "normal") -> None:
        async with slots.held(PLACE, EXPERT, 2, Terms(caller, priority), 5.0):
            order.append(f"{caller} {priority}")
            await asyncio.sleep(0.01)

    asked = [ask("greedy") for _ in range(10)] + [ask("modest"), ask("bulk", "background")]
    await asyncio.gather(*asked)
    assert order.index("modest normal") <= 3
    assert order[-1] == "bulk background"
    await slots.aclose()


async def test_who_waits_is_told_that_the_state_is_gone() -> None:
    """At once, not when the patience is over."""

    class Gone(MemoryState):
        async def claim(self, *_: Any, **__: Any) -> Answer:
            raise StateUnavailable("it is gone")

    slots = SharedSlots(Gone(), "one")
    with pytest.raises(StateUnavailable, match="it is gone"):
        await slots.take(PLACE, EXPERT, 2, Terms(), 30.0)
    await slots.aclose()
