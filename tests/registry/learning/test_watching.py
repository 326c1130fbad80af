"""Alarms, leases and the sums that watching is based on, in SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collegium.errors import UnknownAlarm
from collegium.registry.decisions.log import (
    DecisionLog,
    DecisionRecord,
    FeedbackRecord,
    OutcomeRecord,
    Source,
    Status,
)
from collegium.registry.learning.alarms import Alarm, AlarmRegistry
from collegium.registry.learning.guarding import Became, Guarding
from collegium.registry.learning.watching import Replay, WatchRegistry
from collegium.registry.leases import Leases
from collegium.registry.storage.database import Database

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FORECASTS: list[Mapping[str, Any]] = [{"expert": "sql", "quality": 0.8, "lowered": 0.1}]


async def test_an_alarm_is_raised_once_until_it_is_closed(database: Database) -> None:
    """Also where two replicas notice the same at the same time."""
    alarms = AlarmRegistry(database)
    drift = [Alarm("drift", "worse", expert="sql", lowered=0.2) for _ in range(2)]
    assert sorted(await asyncio.gather(*map(alarms.raise_, drift))) == [False, True]
    assert await alarms.raise_(Alarm("drift", "worse", expert="lists"))
    assert await alarms.raise_(Alarm("canary", "worse", router="rtr_1"))
    first = next(a for a in await alarms.list(open_only=True) if a.expert == "sql")
    before = await alarms.revision()
    closed = await alarms.close(first.id, "mended")
    assert (closed.closed_for, closed.lowered) == ("mended", 0.2)
    assert (await alarms.close(first.id, "again")).closed_for == "mended"
    after = await alarms.revision()
    assert before is not None
    assert after is not None
    assert after > before
    assert {a.expert for a in await alarms.list(open_only=True)} == {"lists", None}
    assert len(await alarms.list()) == 3
    assert await alarms.raise_(drift[1])
    with pytest.raises(UnknownAlarm):
        await alarms.close("alm_0", "")


async def test_a_lease_has_one_holder(database: Database) -> None:
    """Until its time is over, or it lets go."""
    leases = Leases(database)
    assert await leases.hold("watching", "one", 60)
    assert await leases.hold("watching", "one", 60)
    assert not await leases.hold("watching", "other", 60)
    assert await leases.hold("another", "other", 0)
    await leases.release("watching", "one")
    assert await leases.hold("watching", "other", 60)
    assert not await leases.hold("watching", "one", 60)


async def decided(
    log: DecisionLog, number: int, *, status: Status = "ok", usd: float = 0.5, **fields: Any
) -> str:
    """A decision with its outcome."""
    made = {"policy": "quality", "router": "rtr_1", "application": "desk", **fields}
    decision = f"dec_{number}"
    at = datetime.now(UTC) + timedelta(milliseconds=number)
    record = DecisionRecord(
        decision, at, "auto", "sql", confidence=0.8, reason="", forecasts=FORECASTS, **made
    )
    await log.record(record)
    await log.finish(OutcomeRecord(decision, status, cost_usd=usd, expert="sql"))
    return decision


async def said(
    log: DecisionLog, decision: str, score: float | None, source: Source = "rating"
) -> None:
    """Feedback on a decision."""
    record = FeedbackRecord(f"fb_{decision}_{source}", decision, source=source, score=score)
    await log.feedback(record)


async def test_ratings_of_single_experts_are_read_with_what_was_forecast(
    database: Database,
) -> None:
    """Not those of panels, nor what is no rating."""
    log, watching = DecisionLog(database), WatchRegistry(database)
    await said(log, await decided(log, 1), 0.25)
    await said(log, await decided(log, 2, policy="panel"), 1.0)
    await said(log, await decided(log, 3), None, "regenerate")
    (rated,) = await watching.rated(LONG_AGO)
    assert (rated.decision_id, rated.expert, rated.score) == ("dec_1", "sql", 0.25)
    assert (rated.router, rated.application) == ("rtr_1", "desk")
    assert dict(rated.forecasts[0]) == FORECASTS[0]
    assert await watching.rated(datetime.now(UTC) + timedelta(hours=1)) == ()


async def test_replays_and_answers_are_summed(database: Database) -> None:
    """In dollars and in number."""
    log, watching = DecisionLog(database), WatchRegistry(database)
    assert await watching.replaying(LONG_AGO) == (0.0, 0)
    replay = Replay("sql", "openai:sql", "abc", None, 1.0, 0.8, 0.25)
    await watching.replayed(replay)
    await watching.replayed(Replay("lists", "openai:lists", "abc", "desk", 0.0, 0.5, None))
    await decided(log, 1)
    assert replay in await watching.replays(LONG_AGO)
    assert await watching.replaying(LONG_AGO) == (0.25, 2)
    assert await watching.answering(LONG_AGO + timedelta(days=1)) == (0.5, 1)
    await watching.prune(datetime.now(UTC) + timedelta(hours=1))
    assert await watching.replaying(LONG_AGO) == (0.0, 0)


async def test_the_model_of_an_upstream_is_remembered(database: Database) -> None:
    """The latest one."""
    watching = WatchRegistry(database)
    assert await watching.upstream("sql") is None
    await watching.said("sql", "openai:sql", "qwen-2")
    await watching.said("sql", "openai:sql", "qwen-3")
    assert await watching.upstream("sql") == ("openai:sql", "qwen-3")


async def test_what_became_of_a_routers_own_choices(database: Database) -> None:
    """Only of its own, in the applications that are asked for."""
    log, guarding = DecisionLog(database), Guarding(database)
    first = await decided(log, 1)
    await said(log, first, 0.5)
    await said(log, first, None, "regenerate")
    await said(log, first, None, "ask_another")
    await said(log, await decided(log, 2, status="error", usd=1.5), 1.0)
    await decided(log, 3, policy="named")
    await decided(log, 4, router="rtr_2")
    await decided(log, 5, application="shop")
    found = await guarding.became("rtr_1", LONG_AGO, ["desk"])
    assert found == Became(2, 1, 1, 2, 2.0, 2.5, 2, 1.5, 1.25)
    assert (await guarding.became("rtr_1", LONG_AGO, [])).decisions == 3
    assert await guarding.became("rtr_9", LONG_AGO, []) == Became()
