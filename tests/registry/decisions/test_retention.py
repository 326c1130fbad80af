"""Deleting decisions: by what they are, by age, by room, and beside those who write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from collegium.registry.budgets.ledger import BudgetLedger
from collegium.registry.decisions import retention
from collegium.registry.decisions.log import (
    DecisionLog,
    DecisionRecord,
    ExchangeRecord,
    FeedbackRecord,
    OutcomeRecord,
)
from collegium.registry.decisions.responses import ResponseRecord, ResponseRegistry
from collegium.registry.decisions.retention import Retention, equal_share
from collegium.registry.decisions.selection import Selection
from collegium.registry.storage.database import Database
from collegium.registry.tables import DecisionRow, OutcomeRow, to_columns

MakeDecision = Callable[..., DecisionRecord]
NOW = datetime.now(UTC)


@pytest.fixture
async def four(log: DecisionLog, make_decision: MakeDecision) -> None:
    """Decisions of two owners, applications and sessions, one a day, each with all there is."""
    whose = [("ann", "desk", "s1"), ("ann", "chat", "s2"), ("bob", "desk", "s1"), ("", None, None)]
    for number, (owner, application, session) in enumerate(whose):
        name, at = f"dec_{number}", NOW - timedelta(days=number)
        await log.record(
            make_decision(
                name, owner=owner, application=application, session=session, created_at=at
            )
        )
        await log.finish(OutcomeRecord(name, "ok"))
        await log.feedback(FeedbackRecord(f"fb_{number}", name, "failed"))
        await log.exchange(
            ExchangeRecord(name, owner, application, session, 100, "{}", "{}", created_at=at)
        )


async def left(log: DecisionLog, selection: Selection | None = None) -> list[str]:
    """The numbers of the decisions that are there, oldest first."""
    page = await log.list(selection or Selection(), order="asc", limit=100)
    return [each.decision.id.removeprefix("dec_") for each in page.items]


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(), "3210"),
        (Selection(owner="ann"), "10"),
        (Selection(owner=""), "3"),
        (Selection(application="desk"), "20"),
        (Selection(session="s1"), "20"),
        (Selection(session="s1", owner="bob"), "2"),
        (Selection(application="desk", owner="ann"), "0"),
        (Selection(session="s1", application="desk", owner="ann"), "0"),
        (Selection(session="s1", application="chat"), ""),
        (Selection(before=NOW - timedelta(days=1)), "32"),
        (Selection(since=NOW - timedelta(days=1)), "10"),
        (Selection(since=NOW - timedelta(days=2), before=NOW), "21"),
        (Selection(decision_id="dec_1"), "1"),
        (Selection(owner="nobody"), ""),
    ],
)
async def test_what_is_listed_is_what_is_deleted(
    database: Database, log: DecisionLog, selection: Selection, chosen: str
) -> None:
    """All that is named has to hold, for either."""
    everything = await left(log)
    assert "".join(await left(log, selection)) == chosen
    assert await Retention(database).delete(selection) == len(chosen)
    assert await left(log) == [each for each in everything if each not in chosen]
    for table in ("outcomes", "feedback", "exchanges"):
        assert await database.number(f"SELECT count(*) FROM {table}") == 4 - len(chosen)


@pytest.mark.usefixtures("four")
async def test_what_is_too_old_goes(database: Database, log: DecisionLog) -> None:
    """Nothing goes where nothing was said."""
    assert await Retention(database).prune() == 0
    assert await Retention(database, days=1.5).prune() == 2
    assert await left(log) == ["1", "0"]


@pytest.mark.usefixtures("four")
async def test_exchanges_go_where_room_is_short(database: Database, log: DecisionLog) -> None:
    """No more than must, and first of who has most; their decisions and queries stay."""
    assert await Retention(database, max_bytes=400).prune() == 0
    assert await Retention(database, max_bytes=350).prune() == 1
    found = {each.decision.id: each.request for each in await log.learnable()}
    assert found == {"dec_3": {}, "dec_2": {}, "dec_1": None, "dec_0": {}}
    assert await Retention(database, max_bytes=200).prune() == 1
    assert await Retention(database, max_bytes=0).prune() == 2


async def test_nobody_loses_records_to_anothers_flood(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Who stores less than an equal share keeps all, however old; others keep their newest."""
    responses, few = ResponseRegistry(database), {"ann": 3, "bob": 20, "eve": 120}
    at = NOW - timedelta(days=9)
    for owner, count in few.items():  # Ann's are the oldest
        for number in range(count):
            at, name = at + timedelta(minutes=1), f"{owner}_{number:03}"
            await log.record(make_decision(name, owner=owner, created_at=at))
            await log.finish(OutcomeRecord(name, "ok"))
            await log.exchange(ExchangeRecord(name, owner, None, None, 60, "{}", "{}", at))
            response = ResponseRecord(f"resp_{name}", name, owner, (), 40, "{}", "{}", at)
            await responses.add(response)
    assert await Retention(database, max_bytes=4000).prune() == 103  # of 14,300 bytes
    kept = [e.decision.id for e in await log.learnable() if e.request is not None]
    assert [each for each in kept if each.startswith("ann")] == ["ann_000", "ann_001", "ann_002"]
    bobs, eves = ([n for n in kept if n.startswith(name)] for name in ("bob", "eve"))
    assert bobs == [f"bob_{n:03}" for n in range(20 - len(bobs), 20)]
    assert eves == [f"eve_{n:03}" for n in range(120 - len(eves), 120)]
    assert sorted([len(bobs), len(eves)]) == [18, 19]
    assert await database.number("SELECT count(*) FROM responses") == 40


async def test_responses_without_exchanges_make_room_too(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """An exchange may have been dropped where its response was kept."""
    await log.record(make_decision("dec_1"))
    response = ResponseRecord("resp_1", "dec_1", "", (), 40, "{}", "{}")
    await ResponseRegistry(database).add(response)
    assert await Retention(database, max_bytes=39).prune() == 1
    assert await database.number("SELECT count(*) FROM responses") == 0


@pytest.mark.parametrize(
    ("held", "most", "share"),
    [
        ([], 100, 100),
        ([10, 20], 100, 100),
        ([10, 200], 100, 90),
        ([10, 200, 300], 100, 45),
        ([10, 30, 300], 100, 60),
        ([50, 50], 99, 49),
        ([1, 2], 0, 0),
    ],
)
def test_who_stores_little_leaves_the_rest_to_others(
    held: list[int], most: int, share: int
) -> None:
    """All that is allowed is used, and nobody has more than the share while it is short."""
    assert equal_share(held, most) == share


async def test_money_is_counted_also_when_its_answers_are_deleted(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """A budget's window may be longer than answers are kept, and callers delete their own."""
    noon = datetime(2025, 3, 1, 12, tzinfo=UTC)
    answers = [
        ("chat", 5, 1.0),
        ("chat", 10, 0.5),
        ("chat", 70, 2.0),
        ("desk", 5, None),
        (None, 5, 4.0),
    ]
    for number, (application, minute, usd) in enumerate(answers):
        name, at = f"dec_{number}", noon + timedelta(minutes=minute)
        await log.record(make_decision(name, created_at=at, application=application))
        await log.finish(OutcomeRecord(name, "ok", cost_usd=usd, finished_at=at))
    ledger = BudgetLedger(database)

    async def spent(since: datetime) -> float:
        return await ledger.used("application", ["chat"], "usd", since) / 1e9

    before = await spent(noon)
    deleting = [Retention(database), Retention(database)]  # as two replicas
    gone = await asyncio.gather(*(each.delete(Selection(application="chat")) for each in deleting))
    assert sum(gone) == 3
    assert await spent(noon) == before == 3.5
    assert await spent(noon + timedelta(hours=1)) == 2.0
    await log.record(make_decision("dec_9", created_at=noon, application="chat"))
    late = OutcomeRecord("dec_9", "ok", cost_usd=0.25, finished_at=noon + timedelta(minutes=20))
    await log.finish(late)
    await Retention(database).delete(Selection())
    assert await spent(noon) == 3.75


async def test_more_than_a_chunk_is_deleted_chunk_by_chunk(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Until nothing is left of it."""
    count = retention.READ + retention.CHUNK + 1
    await fill(database, make_decision, count)
    assert await Retention(database).delete(Selection(owner="ann")) == count
    assert await left(log) == []


@pytest.mark.slow
async def test_nobody_suffers_from_pruning(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Decisions are written and read meanwhile, none fails, and none waits for long."""
    await fill(database, make_decision, 5000)
    pruning = Retention(database, days=1)
    slowest = 0.0
    async with writing(log, make_decision) as waits:
        await pruning.prune()
        for _ in range(20):
            await log.list(Selection(owner="ann"), limit=20)
        slowest = max(waits)
    assert await left(log, Selection(owner="ann")) == []
    assert len(await left(log)) > 10
    assert slowest < 2


async def test_pruning_goes_on_in_the_background_until_it_is_closed(
    database: Database,
    log: DecisionLog,
    make_decision: MakeDecision,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Again and again."""
    monkeypatch.setattr(retention, "FIRST_AFTER_S", 0)
    monkeypatch.setattr(retention, "EVERY_S", 0.01)
    pruning = Retention(database, days=1)
    pruning.start()
    for name in ("dec_1", "dec_2"):
        await log.record(make_decision(name, created_at=NOW - timedelta(days=2)))
        async with asyncio.timeout(20):
            while await left(log):
                await asyncio.sleep(0.01)
    await pruning.close()
    await log.record(make_decision("dec_3", created_at=NOW - timedelta(days=2)))
    await asyncio.sleep(0.05)
    assert await left(log) == ["3"]


async def fill(database: Database, make_decision: MakeDecision, count: int) -> None:
    """Write old decisions of Ann's."""
    old = NOW - timedelta(days=10)
    rows = [make_decision(f"old_{i:05}", owner="ann", created_at=old) for i in range(count)]
    async with database.transaction() as session:
        await session.execute(insert(DecisionRow), [to_columns(row) for row in rows])
        outcomes = [to_columns(OutcomeRecord(row.id, "ok")) for row in rows]
        await session.execute(insert(OutcomeRow), outcomes)


@asynccontextmanager
async def writing(log: DecisionLog, make_decision: MakeDecision) -> AsyncIterator[list[float]]:
    """Write decisions and outcomes beside the block; yields what each of them took."""
    waits: list[float] = []
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    async def one(worker: int) -> None:
        for number in range(1_000_000):
            if stopped.is_set():
                return
            began, name = loop.time(), f"new_{worker}_{number}"
            await log.record(make_decision(name))
            await log.finish(OutcomeRecord(name, "ok"))
            waits.append(loop.time() - began)
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        for worker in range(4):
            group.create_task(one(worker))
        yield waits
        stopped.set()
