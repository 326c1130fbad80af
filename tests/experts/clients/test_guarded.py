"""Clients of a plugin: whatever they do is an error of their expert, and the service goes on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from collegium.errors import ExpertError, ExpertTimeout, ExpertUnavailable
from collegium.experts.clients.events import AnswerEvent, Began, Finish, Text
from collegium.experts.clients.guarded import Guarded, guarded
from collegium.experts.clients.kinds import Reach
from collegium.experts.clients.openai_shape import Listed
from collegium.experts.clients.reply import Call, Reply
from collegium.registry.expert import Expert
from tests.experts.clients.asking import TINY, Asking, both_ways, streamed


def nowhere(_: Expert) -> Any:
    """Neither a key nor an engine."""
    raise AssertionError


REACH = Reach(nowhere, nowhere, timeout_s=0.2, most_bytes=10_000)


class Client:
    """Gives the reply that it was made with."""

    def __init__(self, replied: Callable[[], Any]) -> None:
        self._replied = replied

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """What the test wants."""
        yield self._replied()

    async def aclose(self) -> None:
        """Fails too."""
        raise RuntimeError("closed already")


def client(replied: Callable[[], Any]) -> Guarded:
    """A guarded client."""
    return guarded(lambda *_: Client(replied), TINY, REACH)


async def endless(text: str) -> AsyncIterator[AnswerEvent]:
    """An answer that never ends, and never waits for anything."""
    yield Began("x")
    while True:
        yield Text(text)


async def silent() -> AsyncIterator[AnswerEvent]:
    """An answer that begins, and then says nothing more."""
    yield Began("x")
    yield Text("a")
    await asyncio.sleep(60)


@both_ways
async def test_an_answer_comes_as_it_is(ask: Asking) -> None:
    """Whole and streamed."""
    events = [Began("x"), Text("a"), Text("b"), Finish("stop")]
    assert await ask(client(lambda: Reply(Listed(events)))) is not None
    assert await streamed(client(lambda: Reply(Listed(events)))) == events


@both_ways
@pytest.mark.parametrize("text", ["a" * 100, ""])
async def test_an_endless_answer_ends_and_others_go_on_meanwhile(ask: Asking, text: str) -> None:
    """Also one of events that say nothing."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    with pytest.raises(ExpertError, match="too large"):
        await ask(client(lambda: Reply(endless(text))))
    beside.cancel()
    assert turns > 10


@both_ways
async def test_an_answer_that_stops_coming_is_a_timeout(ask: Asking) -> None:
    """By the time that the plugin was told."""
    with pytest.raises(ExpertTimeout, match="no answer in time"):
        await ask(client(lambda: Reply(silent())))


@both_ways
@pytest.mark.parametrize(
    "replied",
    [lambda: 5, lambda: None, lambda: Reply(Listed([Began("x"), 5]))],  # type: ignore[list-item]
)
async def test_what_is_no_reply_and_no_event_is_an_error(
    ask: Asking, replied: Callable[[], Any]
) -> None:
    """And no crash of whoever reads it."""
    with pytest.raises(ExpertError, match="its client failed"):
        await ask(client(replied))


@both_ways
async def test_a_client_can_not_end_the_process(ask: Asking) -> None:
    """`sys.exit` in somebody else's code is a failure like others."""
    with pytest.raises(ExpertError, match="its client failed") as caught:
        await ask(client(lambda: sys.exit(3)))
    assert caught.value.detail == "SystemExit: 3"
    with pytest.raises(ExpertUnavailable, match="made no client"):
        guarded(lambda *_: sys.exit(3), TINY, REACH)


async def test_a_client_that_can_not_be_closed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """So that those after it are closed."""
    await client(lambda: None).aclose()
    assert "the client of tiny could not be closed: RuntimeError('closed already')" in caplog.text
