"""Rows that wait together are committed together, and don't suffer from each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import event, text

from collegium.errors import CollegiumError, DatabaseUnavailable, RegistryError
from collegium.registry.decisions.log import DecisionLog, DecisionRecord, OutcomeRecord
from collegium.registry.storage.database import Database
from tests.registry.conftest import OpenDatabase

MakeDecision = Callable[..., DecisionRecord]


async def together(log: DecisionLog, records: list[DecisionRecord]) -> list[object]:
    """Record all at once; what became of each."""
    return await asyncio.gather(*map(log.record, records), return_exceptions=True)


def count_commits(database: Database) -> list[object]:
    """A list that grows with every commit from now on, whichever way it goes."""
    commits: list[object] = []
    event.listen(database._engine.sync_engine, "commit", commits.append)
    if database._inline is not None and database._inline._connection is not None:
        database._inline._connection.set_trace_callback(
            lambda sql: commits.append(sql) if sql.startswith("COMMIT") else None
        )
    return commits


async def test_fifty_at_once_take_few_transactions(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """All are in the first one, as they asked in the same turn of the event loop."""
    await log.record(make_decision("dec_first"))  # opens the connection
    commits = count_commits(database)
    assert await together(log, [make_decision(f"dec_{i}") for i in range(50)]) == [None] * 50
    assert len(commits) == 1
    assert len(await log.recent(100)) == 51


async def test_one_row_alone_is_written_at_once(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Nobody waits for company: each is there when its writer goes on."""
    for i in range(3):
        await log.record(make_decision(f"dec_{i}"))
        assert (await log.get(f"dec_{i}")).decision.id == f"dec_{i}"


async def test_a_refused_row_is_refused_alone(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """A key that is taken, and a value that no column takes, among eight good rows."""
    good = [make_decision(f"dec_{i}") for i in range(8)]
    no_json = replace(make_decision("dec_nan"), limits={"max_cost_usd": float("nan")})
    found = await together(log, [*good[:4], good[0], no_json, *good[4:]])
    assert [f for f in found if f is None] == [None] * 8
    assert isinstance(found[4], RegistryError)
    assert "not JSON compliant" in str(found[5])
    assert {e.decision.id for e in await log.recent()} == {d.id for d in good}


async def test_decisions_and_outcomes_share_a_transaction(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Rows of both tables wait at once; an outcome of nothing is refused alone."""
    await log.record(make_decision("dec_a"))
    found = await asyncio.gather(
        log.finish(OutcomeRecord("dec_a", "ok")),
        log.record(make_decision("dec_b")),
        log.finish(OutcomeRecord("dec_none", "ok")),
        return_exceptions=True,
    )
    assert list(found[:2]) == [None, None]
    assert isinstance(found[2], CollegiumError)
    assert (await log.get("dec_a")).outcome is not None


async def test_who_is_cancelled_takes_nobody_along(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Clients leave while their rows wait; the others' rows are written."""
    tasks = [asyncio.create_task(log.record(make_decision(f"dec_{i}"))) for i in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found[1::2] == [None] * 10
    assert {f"dec_{i}" for i in range(1, 20, 2)} <= {e.decision.id for e in await log.recent()}


async def test_what_is_wrong_with_the_database_is_told_to_everybody(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """And the next writer tries again."""
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE decisions RENAME TO away"))
    for _ in range(2):
        found = await together(log, [make_decision(f"dec_{i}") for i in range(3)])
        assert [type(error) for error in found] == [DatabaseUnavailable] * 3


async def test_a_number_is_read_as_it_is_now(
    database: Database, open_database: OpenDatabase
) -> None:
    """What another process committed counts at once, and what can't be read is our error."""
    query = "SELECT number FROM registry_revision"
    other = open_database()
    assert await database.number(query) == 0
    async with other.transaction() as session:
        await session.execute(text("UPDATE registry_revision SET number = 7"))
    assert await database.number(query) == 7
    with pytest.raises(DatabaseUnavailable, match="can't use the database"):
        await database.number("SELECT number FROM nowhere")


async def test_a_database_in_memory_has_numbers_too() -> None:
    """It is its connection, so nobody else can read it."""
    database = Database("sqlite://")
    assert await database.number("SELECT 7") == 7
    await database.close()


async def test_a_number_that_no_column_holds_is_refused_alone(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """It is no database that is away: the other outcomes are written, and later ones too."""
    for i in range(9):
        await log.record(make_decision(f"dec_{i}"))
    outcomes = [OutcomeRecord(f"dec_{i}", "ok", prompt_tokens=7) for i in range(9)]
    outcomes[4] = replace(outcomes[4], prompt_tokens=10**30)
    found = await asyncio.gather(*map(log.finish, outcomes), return_exceptions=True)
    assert isinstance(found[4], RegistryError)
    assert [error for error in found if error is not None] == [found[4]]
    await log.finish(OutcomeRecord("dec_4", "ok", prompt_tokens=8))
    written = {entry.decision.id: entry.outcome for entry in await log.recent()}
    assert all(written[f"dec_{i}"] is not None for i in range(9))


async def test_whatever_a_driver_raises_the_others_are_written(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """A column of a type that nobody foresaw."""
    odd = replace(make_decision("dec_odd"), confidence=complex(1, 1))  # type: ignore[arg-type]
    found = await together(log, [make_decision("dec_a"), odd, make_decision("dec_b")])
    assert [found[0], found[2]] == [None, None]
    assert isinstance(found[1], Exception)
    assert {e.decision.id for e in await log.recent()} == {"dec_a", "dec_b"}
