"""Shared state, in memory and in Redis."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from collegium.errors import SettingsError, StateUnavailable
from collegium.registry.claims import REFUSED, TAKEN, WANTED, WANTED_S
from collegium.registry.redis_state import RedisState
from collegium.registry.state import (
    MOST_STALE,
    MemoryState,
    SharedState,
    Shares,
    SturdyState,
)
from tests.servers import PASSWORD, RedisServer, free_port, redis_server


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.slow)])
async def state(request: pytest.FixtureRequest) -> AsyncIterator[SharedState]:
    """An open state, as the service opens it."""
    opened: SharedState = MemoryState()
    if request.param == "redis":
        opened = SturdyState(RedisState(request.getfixturevalue("redis").url))
    yield opened
    await opened.close()


async def test_what_was_put_is_got(state: SharedState) -> None:
    """Texts of any language and length."""
    await state.put("put:a", "sql", 60)
    await state.put("put:b", "schön 🦉" * 10_000, 60)

    assert await state.get("put:a") == "sql"
    assert await state.get("put:b") == "schön 🦉" * 10_000


async def test_what_was_not_put_is_none(state: SharedState) -> None:
    """Not an error, and not the same as an empty text."""
    await state.put("none:empty", "", 60)

    assert await state.get("none:absent") is None
    assert await state.get("none:empty") == ""


async def test_the_last_put_counts_with_its_own_time(state: SharedState) -> None:
    """A conversation's expert may change, and every query lengthens its time."""
    await state.put("last", "sql", 0.05)
    await state.put("last", "general", 60)
    await asyncio.sleep(0.1)

    assert await state.get("last") == "general"


async def test_a_text_is_forgotten_after_its_time(state: SharedState) -> None:
    """Fractions of a second count."""
    await state.put("short", "sql", 0.05)
    await asyncio.sleep(0.1)

    assert await state.get("short") is None


async def test_memory_counts_time_by_its_clock() -> None:
    """To the moment: at the end of its time a text is gone."""
    now = 100.0
    state = MemoryState(clock=lambda: now)
    await state.put("a", "sql", 10)

    now = 109.999
    assert await state.get("a") == "sql"
    now = 110.0
    assert await state.get("a") is None


async def test_full_memory_forgets_what_was_written_longest_ago() -> None:
    """Callers choose session ids, so memory has to have an end."""
    state = MemoryState(capacity=2)
    await state.put("a", "1", 60)
    await state.put("b", "2", 60)
    await state.put("a", "3", 60)
    await state.put("c", "4", 60)

    assert [await state.get(key) for key in "abc"] == ["3", None, "4"]


async def test_memory_makes_room_of_what_is_over() -> None:
    """With each text that comes, one that is over goes, though nobody asks for it again."""
    now = 0.0
    state = MemoryState(clock=lambda: now)
    for number in range(100):
        now += 1
        await state.put(f"session-{number}", "sql", 10)
    assert state._shares.total <= 11


async def test_expired_texts_go_whosever_they_are() -> None:
    """Also of owners who send nothing any more."""
    now = 0.0
    state = MemoryState(clock=lambda: now)
    for number in range(100):
        now += 1
        await state.put(f"session:owner-{number}:a", "sql", 10)
    assert state._shares.total <= 20
    assert len(state._groups) == state._shares.total


async def test_nobodys_conversations_are_forgotten_for_anothers_flood() -> None:
    """The room is shared by owners; what belongs to nobody is a share of its own."""
    state = MemoryState(capacity=10)
    await state.put("session:ann:1", "sql", 60)
    await state.put("session::1", "sql", 60)
    await state.put("circuit:sql", "open", 60)
    for number in range(100):
        await state.put(f"session:eve:{number}", "sql", 60)
    assert await state.get("session:ann:1") == await state.get("session::1") == "sql"
    assert await state.get("circuit:sql") == "open"
    kept = [number for number in range(100) if await state.get(f"session:eve:{number}")]
    assert kept == list(range(93, 100))


def test_the_owner_who_holds_most_is_known_after_any_changes() -> None:
    """Compared with a count; what is out of date takes no room."""
    shares, held, chance = Shares(), Counter[str](), random.Random(3)
    for _ in range(5000):
        owner = str(chance.randrange(40))
        amount = chance.randrange(-held[owner], 100)
        shares.add(owner, amount)
        held[owner] += amount
        if any(held.values()):
            assert held[shares.largest()] == max(held.values())
        assert shares.total == sum(held.values())
    assert len(shares._heap) <= 2 * 40 + MOST_STALE


async def test_a_full_memory_of_many_owners_is_as_fast_as_one_with_room() -> None:
    """A scan of all owners with each text took 100 times as long."""
    owners, took = 5000, []
    for capacity in (10 * owners, owners):
        state = MemoryState(capacity=capacity)
        for number in range(owners):
            await state.put(f"session:owner-{number}:a", "sql", 60)
        began = time.process_time()
        for number in range(owners):
            await state.put(f"session:owner-{number}:b", "sql", 60)
        took.append(time.process_time() - began)
    roomy, full = took
    assert full < 10 * roomy


@pytest.mark.slow
async def test_replicas_share_redis(redis: RedisServer) -> None:
    """What one writes the other reads at once; another prefix is another world."""
    one, two = RedisState(redis.url), RedisState(redis.url)
    stranger = RedisState(redis.url, prefix="stranger:")

    await one.put("shared", "sql", 60)

    assert await two.get("shared") == "sql"
    assert await stranger.get("shared") is None
    for state in (one, two, stranger):
        await state.close()


async def test_an_unreachable_redis_is_named_without_its_password() -> None:
    """Both reading and writing answer 503 in plain words."""
    port = free_port()
    state = RedisState(f"redis://:{PASSWORD}@127.0.0.1:{port}/0")

    with pytest.raises(StateUnavailable, match=f"can't use Redis at 127.0.0.1:{port}") as caught:
        await state.get("a")
    with pytest.raises(StateUnavailable):
        await state.put("a", "b", 1)

    assert PASSWORD not in str(caught.value)
    await state.close()


@pytest.mark.slow
async def test_a_redis_that_stops_is_noticed() -> None:
    """A connection that was open is no excuse."""
    with redis_server() as server:
        state = RedisState(server.url)
        await state.put("a", "b", 60)
        server.process.kill()
        server.process.wait()

        with pytest.raises(StateUnavailable, match="can't use Redis"):
            await state.get("a")
        await state.close()


@pytest.mark.slow
async def test_a_wrong_redis_password_is_unavailable_state(redis: RedisServer) -> None:
    """The server's reason is given, what was tried is not."""
    state = RedisState(redis.url.replace(PASSWORD, "tried-in-vain"))

    with pytest.raises(StateUnavailable, match="invalid username-password") as caught:
        await state.get("a")

    assert "tried-in-vain" not in str(caught.value)
    await state.close()


@pytest.mark.parametrize("url", ["http://:pw@host", "nonsense-pw", "redis://:pw@host:port"])
def test_a_wrong_redis_url_is_a_settings_error_that_does_not_repeat_it(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(SettingsError, match="redis://host:6379/0") as caught:
        RedisState(url)

    assert "pw" not in str(caught.value)


async def test_no_change_is_lost(state: SharedState) -> None:
    """Fifty at once, each on top of another."""
    await asyncio.gather(
        *(state.change("count", lambda text: str(int(text or 0) + 1), 60) for _ in range(50))
    )
    assert await state.get("count") == "50"


async def test_claims_stay_within_what_there_is(state: SharedState) -> None:
    """Holders say how many they have; together it is never too many."""
    assert await state.claim("slots", "a", 3, 5, 60)
    assert not await state.claim("slots", "b", 3, 5, 60)
    assert await state.claim("slots", "b", 2, 5, 60)
    assert await state.claim("slots", "a", 2, 5, 60)
    assert await state.claim("slots", "b", 3, 5, 60)
    assert not await state.claim("slots", "a", 3, 5, 60)
    assert await state.claim("slots", "a", 2, 1, 60), "to keep is no claim"


async def test_who_was_refused_first_has_the_next_one(state: SharedState) -> None:
    """A holder that always wants more leaves some to the others, as long as they ask for them."""
    assert await state.claim("turns", "a", 4, 4, 60) == TAKEN
    assert await state.claim("turns", "b", 1, 4, 60) == REFUSED
    assert await state.claim("turns", "a", 3, 4, 60) == WANTED
    assert await state.claim("turns", "a", 4, 4, 60) == REFUSED, "b came first"
    assert await state.claim("turns", "c", 1, 4, 60) == REFUSED, "so it did"
    assert await state.claim("turns", "b", 1, 4, 60) == WANTED
    assert await state.claim("turns", "b", 2, 4, 60) == REFUSED
    assert await state.claim("turns", "a", 2, 4, 60) == WANTED
    await asyncio.sleep(WANTED_S + 0.05)
    assert await state.claim("turns", "c", 1, 4, 60) == TAKEN, "the others no longer ask"


@pytest.mark.slow
async def test_memory_and_redis_give_the_same_answers(redis: RedisServer) -> None:
    """The rule is written twice, in Python and in Lua. Claims that run out of time are repeated."""
    shared, rng = RedisState(redis.url), random.Random(0)
    for number in range(50):
        most = rng.randrange(1, 20)
        claims = [
            (rng.choice("abc"), rng.randrange(most + 2), most, 60.0, rng.randrange(3))
            for _ in range(20)
        ]
        for attempt in range(10):
            memory, key, began = MemoryState(), f"alike:{number}:{attempt}", time.monotonic()
            answers = [(await shared.claim(key, *c), await memory.claim(key, *c)) for c in claims]
            if time.monotonic() - began < WANTED_S / 2:
                break
        assert [one for one, _ in answers] == [other for _, other in answers], claims
    await shared.close()


async def test_some_are_left(state: SharedState) -> None:
    """After a claim for more so many have to be free; where hardly any are, this is said."""
    assert await state.claim("left", "a", 13, 16, 60, leave=2) == TAKEN
    assert await state.claim("left", "b", 1, 16, 60, leave=2) == TAKEN
    assert await state.claim("left", "b", 2, 16, 60, leave=2) == REFUSED
    assert await state.claim("left", "b", 2, 16, 60) == WANTED
    assert await state.claim("left", "a", 12, 16, 60, leave=2) == TAKEN


async def test_a_holder_that_is_gone_holds_nothing(state: SharedState) -> None:
    """A replica that was killed gives its slots back after a while."""
    assert await state.claim("gone", "a", 5, 5, 0.05)
    assert not await state.claim("gone", "b", 1, 5, 60)
    await asyncio.sleep(0.1)
    assert await state.claim("gone", "b", 5, 5, 60)


async def test_without_redis_all_goes_on_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each replica for itself, and nobody waits for a server that is away."""
    state = SturdyState(RedisState(f"redis://127.0.0.1:{free_port()}/0"))
    for number in range(20):
        await state.put("a", str(number), 60)
        assert await state.get("a") == str(number)
    assert await state.change("a", lambda text: f"{text}!", 60) == "19!"
    assert await state.claim("slots", "a", 1, 1, 60)
    assert len(caplog.records) == 1
    assert "going on without shared state" in caplog.text
    await state.close()


@pytest.mark.slow
async def test_any_number_of_requests_use_redis_at_once(redis: RedisServer) -> None:
    """More than Redis's client opens connections for: the others wait for one."""
    state = RedisState(redis.url)
    await asyncio.gather(*(state.put(f"many:{number}", "sql", 60) for number in range(300)))
    assert await state.get("many:299") == "sql"
    await state.close()


@pytest.mark.slow
async def test_a_redis_that_comes_back_is_used_again(caplog: pytest.LogCaptureFixture) -> None:
    """On its old port, empty."""
    with redis_server() as server:
        state = SturdyState(RedisState(server.url, timeout_s=0.5), retry_s=0.1)
        await state.put("a", "shared", 60)
    await state.put("a", "local", 60)
    assert await state.get("a") == "local"
    with redis_server(server.port) as server:
        await asyncio.sleep(0.2)
        assert await state.get("a") is None
        await state.put("a", "shared again", 60)
        other = RedisState(server.url)
        assert await other.get("a") == "shared again"
        await other.close()
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "going on without shared state, each replica for itself",
        "shared state is back",
    ]
    await state.close()
