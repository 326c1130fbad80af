"""Background work that is done every few seconds."""

import asyncio
import logging

import pytest

from collegium.errors import StateUnavailable
from collegium.registry.background import Repeating

SOON_S = 0.005


class Work:
    """Fails in the rounds for which it has an error."""

    def __init__(self, *errors: Exception | None) -> None:
        self.rounds = 0
        self._errors = errors
        self._done = asyncio.Event()

    async def do(self) -> None:
        self.rounds += 1
        if self.rounds > len(self._errors):
            self._done.set()
            return
        if (error := self._errors[self.rounds - 1]) is not None:
            raise error

    async def all_done(self) -> None:
        async with asyncio.timeout(20):
            await self._done.wait()


def repeating(work: Work, every_s: float = SOON_S, first_after_s: float | None = None) -> Repeating:
    return Repeating(
        work.do, every_s, name="work", failing="nothing is done", first_after_s=first_after_s
    )


async def test_it_works_again_and_again_until_it_is_closed() -> None:
    """A second start begins no second loop; after `close` nothing is done."""
    work = Work(None, None, None)
    loop = repeating(work)
    loop.start()
    loop.start()
    await work.all_done()
    await loop.close()
    done = work.rounds
    await asyncio.sleep(10 * SOON_S)
    assert work.rounds == done
    assert [t for t in asyncio.all_tasks() if t.get_name() == "work"] == []


async def test_what_never_began_can_be_closed() -> None:
    """A service whose start failed closes all of its parts."""
    await repeating(Work()).close()


async def test_it_rests_before_the_first_time() -> None:
    """As long as between two, unless it is told otherwise."""
    later, sooner = Work(), Work()
    loops = [repeating(later, 3600.0), repeating(sooner, 3600.0, first_after_s=0.0)]
    for loop in loops:
        loop.start()
    await sooner.all_done()
    assert (later.rounds, sooner.rounds) == (0, 1)
    for loop in loops:
        await loop.close()


async def test_an_error_ends_one_round_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Again when it has changed, or when the work has succeeded meanwhile."""
    away, still_away = StateUnavailable("away"), StateUnavailable("away")
    work = Work(away, still_away, StateUnavailable("full"), None, StateUnavailable("full"))
    loop = repeating(work)
    loop.start()
    await work.all_done()
    await loop.close()
    told = [(r.name, r.levelno, r.getMessage(), r.exc_info) for r in caplog.records]
    assert told == [
        (__name__, logging.WARNING, f"nothing is done: {word}", None)
        for word in ("away", "full", "full")
    ]


async def test_an_unexpected_error_is_logged_with_its_origin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It does not end the loop either."""
    work = Work(ZeroDivisionError("by zero"))
    loop = repeating(work)
    loop.start()
    await work.all_done()
    await loop.close()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "nothing is done: ZeroDivisionError: by zero"
    assert record.exc_info is not None
