"""Sums of what answers took: read from the log, then kept by day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collegium.registry.budgets.usage import Span, Usage, Used
from collegium.registry.decisions.log import (
    DecisionLog,
    DecisionRecord,
    FeedbackRecord,
    OutcomeRecord,
    Source,
)
from collegium.registry.decisions.retention import Retention
from collegium.registry.decisions.selection import Selection
from collegium.registry.storage.database import Database

MakeDecision = Callable[..., DecisionRecord]
NOW = datetime(2025, 3, 2, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
ALL = Span(datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
MARCH_1, MARCH_2 = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 2, tzinfo=UTC)


@pytest.fixture
async def usage(database: Database, log: DecisionLog, make_decision: MakeDecision) -> Usage:
    """Sums over six decisions of two days, of which one is open."""
    made: list[
        tuple[Any, ...]
    ] = [  # id, hours ago, owner, application, chosen, answered by, status, dollars
        ("a", 30, "shop", "desk", "sql", "sql", "ok", 0.5),
        ("b", 30, "shop", None, "sql", "general", "ok", 0.25),
        ("c", 29, "", "desk", "sql", "sql", "error", None),
        ("d", 6, "shop", "desk", "general", "general", "cancelled", 0.125),
        ("e", 1, "shop", "desk", "sql", "sql", "ok", 1.0),
    ]
    for name, hours, owner, application, chosen, answered, status, usd in made:
        at = NOW - timedelta(hours=hours)
        await log.record(
            make_decision(name, created_at=at, owner=owner, application=application, expert=chosen)
        )
        await log.finish(
            OutcomeRecord(
                name,
                status,
                expert=answered,
                prompt_tokens=10,
                completion_tokens=2,
                cost_usd=usd,
                latency_ms=100.0,
                energy_j=None,
            )
        )
    await log.record(make_decision("open", created_at=NOW, owner="shop"))
    return Usage(database)


async def folded(usage: Usage) -> None:
    while await usage.fold(NOW):
        pass


@pytest.mark.parametrize("kept", [False, True], ids=["from the log", "kept"])
async def test_sums_are_the_same_before_and_after_they_are_kept(usage: Usage, kept: bool) -> None:
    """By nothing, by one dimension and by two; of panels and failovers who answered counts."""
    if kept:
        await folded(usage)
    total = (await usage.by([], ALL))[()]
    assert total == Used(5, 1, 1, 1, 3, 50, 10, 1.875, 0.0, 300.0)
    by_expert = await usage.by(["expert"], ALL)
    assert {key[0]: (u.requests, u.cost_usd) for key, u in by_expert.items()} == {
        "sql": (3, 1.5),
        "general": (2, 0.375),
    }
    by_day = await usage.by(["day", "application"], ALL)
    assert {key: u.requests for key, u in by_day.items()} == {
        (MARCH_1, "desk"): 2,
        (MARCH_1, ""): 1,
        (MARCH_2, "desk"): 2,
    }


async def test_a_span_narrows_by_days_and_names(usage: Usage) -> None:
    """Also where one part is kept and the other is in the log."""
    await folded(usage)
    shop = Span(MARCH_2, MARCH_2 + DAY, owner="shop", application="desk", expert="sql")
    assert (await usage.by([], shop))[()].requests == 1
    nobody = Span(MARCH_1, MARCH_1 + DAY, owner="nobody")
    assert (await usage.by(["expert"], nobody)) == {}
    assert (await usage.by([], nobody))[()] == Used()


async def test_a_span_may_begin_centuries_ago(usage: Usage) -> None:
    """Days without decisions are not looked at one by one."""
    async with asyncio.timeout(5):
        found = await usage.by(["day"], replace(ALL, since=datetime(897, 3, 22, tzinfo=UTC)))
    assert found == await usage.by(["day"], ALL)
    assert len(found) == 2


async def test_an_hour_is_summed_up_once_and_only_when_it_is_over(usage: Usage) -> None:
    """Two replicas that sum up share the hours; what may still be under way waits."""
    assert [await usage.fold(NOW) for _ in range(4)] == [True, True, True, False]
    assert [await usage.fold(NOW + timedelta(hours=3)) for _ in range(3)] == [True, True, False]
    assert (await usage.by([], ALL))[()].requests == 5


async def test_what_is_deleted_stays_in_the_sums(usage: Usage, database: Database) -> None:
    """Whether its hour was summed up before or not."""
    assert await usage.fold(NOW)
    assert await Retention(database).delete(Selection(), rest=0) == 6
    assert (await usage.by([], ALL))[()].cost_usd == 1.875
    await folded(usage)
    assert (await usage.by([], ALL))[()] == Used(5, 1, 1, 1, 3, 50, 10, 1.875, 0.0, 300.0)


async def test_the_latest_rated_decisions(usage: Usage, log: DecisionLog) -> None:
    """Each once; what people only turned from has no score."""
    for number, (decision, score) in enumerate([("a", 1.0), ("b", None), ("c", 0.0), ("a", 0.5)]):
        at = NOW + timedelta(seconds=number)
        source: Source = "rating" if score is not None else "regenerate"
        await log.feedback(
            FeedbackRecord(str(number), decision, score=score, source=source, created_at=at)
        )
    assert await usage.rated(10) == ["a", "c"]
    assert await usage.rated(1) == ["a"]


async def test_one_owners_rated_decisions_are_not_pushed_out_by_others(
    usage: Usage, log: DecisionLog
) -> None:
    """The latest ones within the scope, though others' are later."""
    for number, decision in enumerate("acbdce"):  # c is the operator's
        at = NOW + timedelta(minutes=number)
        await log.feedback(FeedbackRecord(f"fb_{number}", decision, "good_fit", created_at=at))
    assert await usage.rated(2) == ["e", "c"]
    assert await usage.rated(2, frozenset({""})) == ["c"]
    assert await usage.rated(2, frozenset({"shop"})) == ["e", "d"]
    assert await usage.rated(2, frozenset({"nobody"})) == []


LOST = {"expert": "lists", "prompt_tokens": 6, "completion_tokens": 1, "cost_usd": 0.0625}
AGAIN = {**LOST, "expert": "sql", "cost_usd": None}


@pytest.mark.parametrize("how", ["from the log", "kept", "deleted", "kept and deleted"])
async def test_failed_attempts_are_their_experts(
    usage: Usage, log: DecisionLog, make_decision: MakeDecision, database: Database, how: str
) -> None:
    """Their tokens and dollars leave the row of who answered; the total is the same.

    The dollars of an answer whose price is unknown as a whole are nobody's.
    """
    at = NOW - timedelta(hours=30)
    for name, attempts, usd in (("f", [LOST], 0.5), ("g", [LOST, AGAIN], None)):
        await log.record(make_decision(name, created_at=at, owner="lab", expert="sql"))
        outcome = OutcomeRecord(name, "ok", expert="sql", prompt_tokens=20, completion_tokens=4)
        await log.finish(replace(outcome, attempts=attempts, cost_usd=usd))
    if "kept" in how:
        await folded(usage)
    if "deleted" in how:
        await Retention(database).delete(Selection(), rest=0)
    lab = replace(ALL, owner="lab")
    found = {key[0]: used for key, used in (await usage.by(["expert"], lab)).items()}
    told = {
        name: (u.requests, u.failed_attempts, u.prompt_tokens, u.completion_tokens, u.cost_usd)
        for name, u in found.items()
    }
    assert told == {"sql": (2, 1, 28, 6, 0.4375), "lists": (0, 2, 12, 2, 0.0625)}
    total = (await usage.by([], lab))[()]
    assert total == replace(found["sql"] + found["lists"], failed_attempts=3)
    assert (total.prompt_tokens, total.cost_usd, total.unpriced) == (40, 0.5, 1)
    lists = await usage.by(["day"], replace(ALL, expert="lists"))
    assert {key: u.failed_attempts for key, u in lists.items()} == {(MARCH_1,): 2}
