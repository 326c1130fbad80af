"""Shared state, in memory and in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from collegium.errors import SettingsError, StateUnavailable
from collegium.registry.state import MemoryState, RedisState, SharedState, open_state
from tests.servers import PASSWORD, RedisServer, free_port, redis_server


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.slow)])
async def state(request: pytest.FixtureRequest) -> AsyncIterator[SharedState]:
    """An open state, as the settings would open it."""
    url: str | None = None
    if request.param == "redis":
        url = request.getfixturevalue("redis").url
    opened = open_state(url)
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
        open_state(url)

    assert "pw" not in str(caught.value)
