"""Circuit breakers: closed, open, half-open, and shared."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest

from collegium.errors import ExpertUnavailable, RateLimited
from collegium.experts.dispatch.breaker import Breakers, Circuit, Rules
from collegium.registry.state import MemoryState

RULES = Rules(failures=3, first_rest_s=10.0, longest_rest_s=40.0, probe_s=5.0)


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


async def opened(clock: Clock, state: MemoryState | None = None) -> Breakers:
    """Breakers of which `sql`'s has just opened."""
    breakers = Breakers(state, RULES, clock)
    for _ in range(RULES.failures):
        await breakers.enter("sql", "sql")
        await breakers.failed("sql")
    return breakers


async def test_it_opens_after_failures_in_a_row() -> None:
    """An answer in between begins the count anew."""
    breakers = Breakers(None, RULES, Clock())
    for _ in range(2):
        await breakers.failed("sql")
    await breakers.succeeded("sql")
    for _ in range(2):
        await breakers.failed("sql")
    assert breakers.refusal("sql", "sql") is None
    await breakers.failed("sql")
    refusal = breakers.refusal("sql", "sql")
    assert refusal is not None
    assert refusal.retry_after_s == 10
    assert breakers.states() == {"sql": "open"}
    with pytest.raises(ExpertUnavailable, match="left alone"):
        await breakers.enter("sql", "sql")


async def test_after_its_rest_one_probe_passes() -> None:
    """The others wait for what it finds."""
    clock = Clock()
    breakers = await opened(clock)
    clock.now += 10
    assert breakers.states() == {"sql": "half-open"}
    await breakers.enter("sql", "sql")
    with pytest.raises(ExpertUnavailable):
        await breakers.enter("sql", "sql")
    await breakers.succeeded("sql")
    assert breakers.circuit("sql") == Circuit()


async def test_a_probe_that_fails_doubles_the_rest() -> None:
    """Up to a limit."""
    clock = Clock()
    breakers = await opened(clock)
    for rest in (20, 40, 40):
        clock.now = breakers.circuit("sql").until
        await breakers.enter("sql", "sql")
        await breakers.failed("sql")
        assert breakers.circuit("sql").until == clock.now + rest


async def test_a_probe_whose_client_left_makes_room_for_the_next() -> None:
    """Also one that never says anything."""
    clock = Clock()
    breakers = await opened(clock)
    clock.now += 10
    await breakers.enter("sql", "sql")
    await breakers.let_go("sql")
    await breakers.enter("sql", "sql")
    clock.now += RULES.probe_s
    await breakers.enter("sql", "sql")


async def test_failures_of_all_replicas_count_together_and_none_is_lost() -> None:
    """Twenty at once, of two replicas."""
    state = MemoryState()
    rules = Rules(failures=1000)
    one, two = Breakers(state, rules), Breakers(state, rules)
    await asyncio.gather(*(b.failed("sql") for b in (one, two) for _ in range(10)))
    await one.failed("sql")
    assert one.circuit("sql").failures == 21


async def test_another_replica_learns_of_it_at_its_next_request() -> None:
    """And of several replicas one probes."""
    clock, state = Clock(), MemoryState()
    await opened(clock, state)
    other = Breakers(state, RULES, clock)
    with pytest.raises(ExpertUnavailable):
        await other.enter("sql", "sql")
    clock.now += 10
    third = Breakers(state, RULES, clock)
    await other.enter("sql", "sql")
    with pytest.raises(ExpertUnavailable):
        await third.enter("sql", "sql")


async def test_one_callers_failing_requests_are_that_callers_alone() -> None:
    """An expert may fail for what it is sent; when another's fail too, it is the expert."""
    clock = Clock()
    breakers = Breakers(None, RULES, clock)
    for _ in range(RULES.failures):
        await breakers.failed("sql", "odd")
    with pytest.raises(ExpertUnavailable, match="left alone"):
        await breakers.enter("sql", "sql", "odd")
    assert breakers.refusal("sql", "sql", "other") is None
    await breakers.enter("sql", "sql", "other")
    await breakers.failed("sql", "other")
    with pytest.raises(ExpertUnavailable, match="left alone"):
        await breakers.enter("sql", "sql", "third")


async def test_that_it_is_down_concerns_everybody() -> None:
    """Whoever noticed."""
    breakers = await opened(Clock())
    with pytest.raises(ExpertUnavailable, match="left alone"):
        await breakers.enter("sql", "sql", "anybody")


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
async def test_a_clock_that_jumps_makes_no_rest_longer(jump: float) -> None:
    """Set back or forward: the next request finds out."""
    clock = Clock()
    breakers = await opened(clock)
    clock.now += jump
    assert breakers.refusal("sql", "sql") is None
    await breakers.enter("sql", "sql")
    await breakers.succeeded("sql")
    assert breakers.states() == {"sql": "closed"}


async def test_a_provider_that_asks_for_a_rest_is_left_alone_by_everybody() -> None:
    """As long as it said, whatever other requests of the same moment come to."""
    clock = Clock()
    state = MemoryState(clock=clock)
    one, other = Breakers(state, RULES, clock), Breakers(state, RULES, clock)
    await one.rest("sql", 500.0)
    await one.rest("sql", 17.0)
    await one.succeeded("sql")
    await one.failed("sql", "a caller")
    for breakers in (one, other):
        with pytest.raises(RateLimited) as info:
            await breakers.enter("sql", "sql", "another caller")
        assert info.value.retry_after_s == 500
        assert isinstance(breakers.refusal("sql", "sql"), RateLimited)
    clock.now += 499
    assert one.refusal("sql", "sql") is not None
    clock.now += 1
    assert one.refusal("sql", "sql") is None
    await other.enter("sql", "sql")


async def test_a_rest_does_not_open_the_circuit() -> None:
    """Haste is no failure."""
    clock = Clock()
    breakers = Breakers(None, RULES, clock)
    await breakers.rest("sql", 5.0)
    assert breakers.states() == {"sql": "closed"}
    clock.now -= 100  # the clock was set back
    assert breakers.refusal("sql", "sql") is None


async def test_fields_of_newer_replicas_are_passed_over() -> None:
    """Replicas are replaced one by one."""
    state = MemoryState()
    await state.put("breaker:sql", json.dumps({"failures": 1, "of_the_future": True}), 60.0)
    breakers = Breakers(state, RULES)
    await breakers.enter("sql", "sql")
    assert breakers.circuit("sql").failures == 1


async def test_a_probe_that_answered_ends_the_pause_in_all_replicas() -> None:
    """Others go by their copy of the state for a second, and read it after a refusal."""
    clock, state = Clock(), MemoryState()
    one, other = Breakers(state, RULES, clock), Breakers(state, RULES, clock)
    await one.rest("sql", 3600.0)
    with pytest.raises(RateLimited):
        await other.enter("sql", "sql")
    assert one.pauses() == other.pauses() == {"sql": 3600.0}
    await Breakers(state, RULES, clock).forgiven("sql")
    clock.now += 2
    assert isinstance(one.refusal("sql", "sql"), RateLimited)
    assert other.pauses() == {"sql": 3598.0}
    await asyncio.sleep(0.01)
    for breakers in (one, other):
        assert breakers.refusal("sql", "sql") is None
        assert breakers.pauses() == {"sql": 0.0}


async def test_a_state_that_was_lost_ends_no_pause() -> None:
    """What this process knows goes on."""
    clock, state = Clock(), MemoryState()
    breakers = Breakers(state, RULES, clock)
    await breakers.rest("sql", 3600.0)
    await state.put("breaker:sql", "{}", ttl_s=-1.0)
    clock.now += 2
    assert breakers.refusal("sql", "sql") is not None
    await asyncio.sleep(0.01)
    assert breakers.refusal("sql", "sql") is not None
