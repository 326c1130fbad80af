"""What workers share with their owner, over a real socket; and how their metrics are added up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from collegium.errors import StateUnavailable
from collegium.registry.answers import MemoryAnswers
from collegium.registry.budgets.counters import (
    Charge,
    Counters,
    Granted,
    Level,
    MemoryCounters,
    Missing,
    Refused,
    Wanted,
)
from collegium.registry.leases import Leases
from collegium.registry.sole_counters import SoleCounters
from collegium.registry.state import MemoryState
from collegium.registry.storage.database import Database
from collegium.web.serving.shared import Shared
from collegium.web.workers.accepting import ABSENT, Board
from collegium.web.workers.counts import Ended, Together, snapshot
from collegium.web.workers.link import Link
from collegium.web.workers.members import Members
from collegium.web.workers.remote import RemoteAnswers, RemoteCounters, RemoteState
from collegium.web.workers.sharing import Sharing

WANTED = Wanted(least=1, usual=10, most=10)


async def refuses(name: str, _arguments: Any) -> Any:
    """A worker that answers nothing."""
    raise StateUnavailable(name)


@asynccontextmanager
async def owned(
    folder: Path, count: int, counters: Counters | None = None
) -> AsyncIterator[tuple[Members, list[Link]]]:
    """An owner, and the links of so many workers to it."""
    members = Members(counters or MemoryCounters())
    answers = MemoryAnswers(ttl_s=60, most_bytes=10**6)
    shared = Shared(MemoryState(), MemoryState(), members.counters, answers, several=True)
    names = iter(f"worker-{n}" for n in range(count))

    def accept() -> Link:
        name = next(names)
        return Link(Sharing(shared, members.of(name)).handle, lambda: members.leave(name))

    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(accept, str(folder / "state"))
    links = [Link(refuses, lambda: None) for _ in range(count)]
    for link in links:
        await loop.create_unix_connection(partial(_itself, link), str(folder / "state"))
    try:
        yield members, links
    finally:
        for link in links:
            link.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)


def _itself(link: Link) -> Link:
    return link


async def test_what_a_worker_has_put_is_there_for_all(tmp_path: Path) -> None:
    """It waits for no answer, and yet a text is put before anybody asks for it."""
    async with owned(tmp_path, 2) as (_, [link, other]):
        for number in range(200):
            await RemoteState(link, "state").put("session:x", str(number), 60.0)
            assert await RemoteState(other, "state").get("session:x") == str(number)
        link.close()
        await asyncio.sleep(0.01)
        with pytest.raises(StateUnavailable, match="gone"):
            await RemoteState(link, "state").put("session:x", "lost", 60.0)


async def test_a_failure_that_nobody_waits_for_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The link goes on."""
    async with owned(tmp_path, 1) as (_, [link]):
        await link.tell("state.put", "a key without a text")
        await RemoteState(link, "state").put("session:x", "text", 60.0)
        assert await RemoteState(link, "state").get("session:x") == "text"
    assert "the call state.put between two processes" in caplog.text


async def test_texts_are_shared_and_no_change_between_is_lost(tmp_path: Path) -> None:
    """Two workers count up together; a value larger than one read of the socket arrives whole."""
    async with owned(tmp_path, 2) as (_, links):
        one, other = (RemoteState(link, "state") for link in links)
        await one.put("session", "expert " * 100_000, 60)
        assert await other.get("session") == "expert " * 100_000

        def step(text: str | None) -> str:
            return str(int(text or 0) + 1)

        changes = [state.change("count", step, 60) for state in (one, other) for _ in range(50)]
        await asyncio.gather(*changes)
        assert await one.get("count") == "100"
        assert await one.claim("slots", "one", 2, 3, 60)
        assert not await other.claim("slots", "other", 2, 3, 60)


async def test_answers_of_the_cache_are_shared(tmp_path: Path) -> None:
    """What one has put, the other gets and forgets."""
    async with owned(tmp_path, 2) as (_, links):
        one, other = map(RemoteAnswers, links)
        await one.put("key", "decision", b"\x00 an answer")
        assert await other.get("key") == b"\x00 an answer"
        assert (await other.held()).entries == 1
        assert await other.forget(["decision"]) == 1
        assert await one.get("key") is None


@pytest.fixture(params=["sqlite", "postgresql"])
async def counters(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Counters]:
    """Those of an owner on SQLite, and on PostgreSQL without Redis, where it holds a lease."""
    database = Database(f"sqlite:///{tmp_path / 'leases.sqlite3'}")
    await database.migrate()
    yield MemoryCounters() if request.param == "sqlite" else SoleCounters(Leases(database))
    await database.close()


async def test_budgets_are_counted_together_and_survive_a_worker(
    tmp_path: Path, counters: Counters
) -> None:
    """What a worker that is gone has reserved stays reserved, until another one settles it."""
    charge = Charge("a", most=25, base=0, per_million=1_000_000)
    async with owned(tmp_path, 2, counters) as (_, links):
        one, other = map(RemoteCounters, links)
        assert await one.reserve("first", [charge], WANTED) == Missing(0)
        await one.seed("a", 0, (await one.holding("a"))[0])
        assert await one.reserve("first", [charge], WANTED) == Granted(10, (Level(10, 10),))
        assert isinstance(await other.reserve("second", [charge], WANTED), Granted)
        third = Wanted(least=6, usual=10, most=10)
        assert await other.reserve("third", [charge], third) == Refused(0, Level(20, 20))
        assert {h.hold: (h.own, h.alive) for h in await other.held()} == {
            "first": (False, True),
            "second": (True, True),
        }
        links[0].close()
        await asyncio.sleep(0.05)
        assert [h.hold for h in await other.held() if not h.own and not h.alive] == ["first"]
        await other.settle("first", {"a": 3}, lapsed=True)
        assert await other.levels(["a"]) == [Level(13, 10)]


async def test_without_its_owner_nothing_hangs(tmp_path: Path) -> None:
    """Calls fail at once, and one that there is not fails alone."""
    async with owned(tmp_path, 1) as (_, links):
        with pytest.raises(StateUnavailable, match="there is not"):
            await links[0].call("state.clear")
        with pytest.raises(StateUnavailable, match="there is not"):
            await links[0].call("counters.aclose")
        links[0].close()
        with pytest.raises(StateUnavailable, match="gone"):
            await links[0].call("state.get", "key")


def metrics(count: int) -> SimpleNamespace:
    """What one process has counted."""
    registry = CollectorRegistry()
    found = SimpleNamespace(
        registry=registry,
        answers=Counter("collegium_answers", "Answers", ["expert"], registry=registry),
        seconds=Histogram("collegium_s", "Seconds", ["expert"], buckets=(1, 2), registry=registry),
        running=Gauge("collegium_in_flight", "Running", ["expert"], registry=registry),
        keys=Gauge("collegium_keys", "Keys", registry=registry),
    )
    found.answers.labels("a").inc(count)
    found.seconds.labels("a").observe(1.5, {"trace_id": "t"})
    found.running.labels("a").set(count)
    found.keys.set(7)
    return found


def test_metrics_are_added_up_and_counters_never_fall() -> None:
    """Gauges of one process are added, those of the service are not; buckets are in order."""
    owner, one, other = metrics(0), metrics(2), metrics(3)
    ended = Ended()
    ended.add(snapshot(other.registry))
    ended.add(snapshot(metrics(10).registry))
    both = Together(owner.registry, [snapshot(one.registry), ended.snapshot()])
    lines = generate_latest(cast("CollectorRegistry", both)).decode().splitlines()
    told = [line for line in lines if not line.startswith("#") and "_created" not in line]
    assert told == [
        'collegium_answers_total{expert="a"} 15.0',
        'collegium_s_bucket{expert="a",le="1.0"} 0.0',
        'collegium_s_bucket{expert="a",le="2.0"} 4.0',
        'collegium_s_bucket{expert="a",le="+Inf"} 4.0',
        'collegium_s_count{expert="a"} 4.0',
        'collegium_s_sum{expert="a"} 6.0',
        'collegium_in_flight{expert="a"} 2.0',
        "collegium_keys 7.0",
    ]


def test_who_takes_no_connections_is_not_waited_for(tmp_path: Path) -> None:
    """The fewest are those of the workers that are there."""
    board, seen_by_another = Board(tmp_path / "board", 3), Board(tmp_path / "board", 3)
    assert board.fewest() == ABSENT
    board.note(1, 5)
    board.note(3, 2)
    assert seen_by_another.fewest() == 2
    board.leave(3)
    assert seen_by_another.fewest() == 5
