"""Outcomes that the database could not take are written when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest
from sqlalchemy import text

from collegium.errors import DatabaseUnavailable, UnknownDecision
from collegium.registry.decisions.log import DecisionLog, DecisionRecord, OutcomeRecord
from collegium.registry.decisions.unwritten import Unwritten
from collegium.registry.storage.database import Database
from tests.servers import postgres_server

MakeDecision = Callable[..., DecisionRecord]
SOON_S = 60.0


class Away:
    """A database that is away until `back`; what was written before that is in vain."""

    def __init__(self) -> None:
        self.back = asyncio.Event()
        self.tried = asyncio.Event()
        self.written: list[OutcomeRecord] = []

    async def write(self, record: OutcomeRecord) -> None:
        """Refuse, or take it."""
        self.tried.set()
        if not self.back.is_set():
            raise DatabaseUnavailable("away")
        if record.decision_id == "dec_none":
            raise UnknownDecision("no such decision")
        self.written.append(record)


def outcome(decision_id: str, latency_ms: float = 1.0) -> OutcomeRecord:
    return OutcomeRecord(decision_id, "ok", latency_ms=latency_ms)


async def gone(unwritten: Unwritten[OutcomeRecord]) -> None:
    """Wait until nothing is kept."""
    async with asyncio.timeout(SOON_S):
        while len(unwritten):
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_outcomes_outlive_a_postgresql_that_is_killed(make_decision: MakeDecision) -> None:
    """Answers that were under way when it died are in the log when it is back."""
    with postgres_server() as server:
        database = Database(server.empty_database())
        await database.migrate()
        log = DecisionLog(database)
        for name in ("dec_a", "dec_b"):
            await log.record(make_decision(name))
        # Its children serve open connections for a moment longer than it lives.
        family = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.process.wait()
        psutil.wait_procs(family)
        await asyncio.gather(*(log.finish(outcome(name)) for name in ("dec_a", "dec_b")))
        with pytest.raises(DatabaseUnavailable):
            await log.record(make_decision("dec_c"))
        with server.again():
            await gone(log._unwritten)
            found = {entry.decision.id: entry.outcome for entry in await log.recent()}
            await log.aclose()
            await database.close()
    assert found.keys() == {"dec_a", "dec_b"}
    assert all(kept is not None and kept.status == "ok" for kept in found.values())


async def test_the_newest_outcome_of_a_decision_counts(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """An older one that was kept does not come after one that was written."""
    await log.record(make_decision("dec_a"))
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE outcomes RENAME TO away"))
    await log.finish(outcome("dec_a", 1.0))
    await log.finish(outcome("dec_a", 2.0))
    assert len(log._unwritten) == 1
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE away RENAME TO outcomes"))
    await log.finish(outcome("dec_a", 3.0))
    assert len(log._unwritten) == 0
    await log.aclose()
    found = (await log.get("dec_a")).outcome
    assert found is not None
    assert found.latency_ms == 3.0


async def test_a_refused_outcome_does_not_hold_the_others_up() -> None:
    """It is lost with a line in the log; the others are written in their order."""
    away = Away()
    unwritten = Unwritten(away.write, first_rest_s=0.01)
    for name in ("dec_a", "dec_none", "dec_b"):
        unwritten.keep(outcome(name))
    await away.tried.wait()
    away.back.set()
    await gone(unwritten)
    assert [record.decision_id for record in away.written] == ["dec_a", "dec_b"]


async def test_memory_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    """The oldest go first, which is said once."""
    away = Away()
    unwritten = Unwritten(away.write, most=2)
    for number in range(5):
        unwritten.keep(outcome(f"dec_{number}"))
    away.back.set()
    await unwritten.aclose()
    assert [record.decision_id for record in away.written] == ["dec_3", "dec_4"]
    assert caplog.text.count("the oldest are lost") == 1


async def test_what_is_lost_at_the_end_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """The service ends while the database is away."""
    unwritten = Unwritten(Away().write)
    unwritten.keep(outcome("dec_a"))
    await unwritten.aclose()
    assert "1 outcomes are lost" in caplog.text
