"""Many writers, cancelled writers and killed writers."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from collegium.registry.decisions.log import (
    DecisionLog,
    DecisionRecord,
    FeedbackRecord,
    OutcomeRecord,
)
from tests.registry.conftest import OpenDatabase

MakeDecision = Callable[..., DecisionRecord]
ROOT = Path(__file__).parents[3]
RECORD_UNTIL_KILLED = """
import asyncio, itertools, sys
from datetime import UTC, datetime
from collegium.registry.storage.database import Database
from collegium.registry.decisions.log import DecisionLog, DecisionRecord

async def main() -> None:
    log = DecisionLog(Database(sys.argv[1]))
    for i in itertools.count():
        now = datetime.now(UTC)
        await log.record(DecisionRecord(f"dec_{i}", now, "auto", "sql", "quality", 0.9, "so"))
        print(f"dec_{i}", flush=True)

asyncio.run(main())
"""


@pytest.mark.usefixtures("database")
async def test_concurrent_writers_all_succeed(
    open_database: OpenDatabase, make_decision: MakeDecision
) -> None:
    """Three replicas, forty requests each at once: decision, outcome and feedback are all there."""
    replicas = [DecisionLog(open_database()) for _ in range(3)]

    async def request(log: DecisionLog, decision_id: str) -> None:
        await log.record(make_decision(decision_id))
        await log.finish(OutcomeRecord(decision_id, "ok"))
        await log.feedback(FeedbackRecord(f"fb_{decision_id}", decision_id, "good_fit"))
        await log.get(decision_id)

    await asyncio.gather(
        *(request(log, f"dec_{r}_{i}") for r, log in enumerate(replicas) for i in range(40))
    )

    learnable = await replicas[0].outcomes()
    assert len(learnable) == 120
    assert all(len(entry.feedback) == 1 for entry in learnable)


async def test_cancelled_writers_leave_no_lock_behind(
    log: DecisionLog, open_database: OpenDatabase, make_decision: MakeDecision
) -> None:
    """Clients leave at any moment; each write happens wholly or not at all, and others go on."""
    moment = random.Random(7)
    other = DecisionLog(open_database())
    for i in range(60):
        task = asyncio.create_task(log.record(make_decision(f"dec_{i}")))
        await asyncio.sleep(moment.uniform(0, 0.004))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with asyncio.timeout(5):
        await log.record(make_decision("dec_after"))
        await other.record(make_decision("dec_other"))
    assert {"dec_after", "dec_other"} <= {e.decision.id for e in await other.recent()}


@pytest.mark.slow
async def test_a_recorded_decision_survives_kill_9(
    url: str, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Every id that the writer said was recorded is there, and the database can be written."""
    command = [sys.executable, "-c", RECORD_UNTIL_KILLED, url]
    with subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(50)]
        writer.kill()
        said += writer.stdout.readlines()

    recorded = {entry.decision.id for entry in await log.recent(limit=1_000_000)}
    assert {line.strip() for line in said if line.endswith("\n")} <= recorded
    assert len(recorded) >= 50
    await log.record(make_decision("dec_after"))
