"""SQLite's quick way to write: the same rows, the same refusals, and a log that stays small."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from collegium.registry.decisions.log import DecisionLog, DecisionRecord, OutcomeRecord
from collegium.registry.storage import sqlite
from collegium.registry.storage.database import Database
from collegium.registry.storage.sqlite import InlineWriter
from collegium.registry.tables import DecisionRow, OutcomeRow, to_columns
from tests.registry.conftest import OpenDatabase

MakeDecision = Callable[..., DecisionRecord]
STATEMENT = insert(DecisionRow)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """SQLite alone has this way."""
    return f"sqlite:///{tmp_path / 'collegium.sqlite3'}"


def writer_of(database: Database) -> InlineWriter:
    """The database's own."""
    assert database._inline is not None
    return database._inline


async def test_the_rows_are_those_that_the_driver_writes(
    database: Database, log: DecisionLog, make_decision: MakeDecision, tmp_path: Path
) -> None:
    """Column by column, as SQLite keeps them."""
    quick = make_decision("dec_quick")
    slow = replace(quick, id="dec_slow")
    assert writer_of(database).wrote([(STATEMENT, [to_columns(quick)])])
    await database.write(STATEMENT, to_columns(slow))
    rows = sqlite3.connect(tmp_path / "collegium.sqlite3").execute(
        "SELECT * FROM decisions ORDER BY id"
    )
    first, second = rows.fetchall()
    assert first[1:] == second[1:]
    assert (await log.get("dec_quick")).decision == quick


async def test_what_is_refused_leaves_nothing(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """A taken key, and an outcome of nothing: the good row beside them is not there either."""
    writer = writer_of(database)
    taken = [to_columns(make_decision(name)) for name in ("dec_a", "dec_a")]
    assert not writer.wrote([(STATEMENT, taken)])
    orphan = [to_columns(OutcomeRecord("dec_none", "ok"))]
    good = [to_columns(make_decision("dec_b"))]
    assert not writer.wrote([(STATEMENT, good), (insert(OutcomeRow), orphan)])
    assert await log.recent() == ()
    assert writer.wrote([(STATEMENT, good)])


async def test_a_busy_file_is_waited_for_elsewhere(
    database: Database,
    log: DecisionLog,
    make_decision: MakeDecision,
    open_database: OpenDatabase,
) -> None:
    """Another process writes: the event loop goes on meanwhile, and the row comes after."""
    other = open_database()
    ticks = 0
    async with other.transaction() as session:
        await session.execute(insert(DecisionRow), [to_columns(make_decision("dec_other"))])
        assert not writer_of(database).wrote([(STATEMENT, [to_columns(make_decision("dec_a"))])])
        waiting = asyncio.create_task(log.record(make_decision("dec_b")))
        while ticks < 20:
            await asyncio.sleep(0.005)
            ticks += 1
        assert not waiting.done()
    await waiting
    assert {e.decision.id for e in await log.recent()} == {"dec_other", "dec_b"}


async def test_a_way_that_is_blocked_for_good_is_told_once(
    database: Database,
    log: DecisionLog,
    make_decision: MakeDecision,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Rows still come, by the driver; each is counted, and the first one says why."""
    database._inline = InlineWriter(str(tmp_path), writer_of(database)._dialect)  # no file
    for name in ("dec_a", "dec_b", "dec_c"):
        await log.record(make_decision(name))
    assert len(await log.recent()) == 3
    assert database.detours == 3
    told = [r.getMessage() for r in caplog.records if "slow way" in r.getMessage()]
    assert told == [
        "rows are written the slow way, by the driver: "
        "OperationalError: unable to open database file"
    ]


async def test_what_the_caller_hears_or_what_passes_is_no_warning(
    database: Database,
    make_decision: MakeDecision,
    open_database: OpenDatabase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A taken key, and another process that writes: counted alone."""
    writer, row = writer_of(database), to_columns(make_decision("dec_a"))
    assert not writer.wrote([(STATEMENT, [row, row])])
    other = open_database()
    async with other.transaction() as session:
        await session.execute(insert(DecisionRow), [to_columns(make_decision("dec_other"))])
        assert not writer.wrote([(STATEMENT, [row])])
    assert database.detours == 2
    assert not caplog.records


async def test_the_log_stays_small(
    database: Database,
    log: DecisionLog,
    make_decision: MakeDecision,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is copied into the file every so many transactions, and begun anew."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_EVERY", 50)
    ahead = tmp_path / "collegium.sqlite3-wal"
    for copy in range(3):
        for i in range(50):
            await log.record(make_decision(f"dec_{copy}_{i}"))
        copied = writer_of(database)._checkpoint
        assert copied is not None
        await copied
        assert ahead.stat().st_size == 0
    assert len(await log.recent(1000)) == 150
