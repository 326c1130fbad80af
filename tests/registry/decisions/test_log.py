"""The log of decisions, outcomes and feedback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from collegium.errors import RegistryError, UnknownDecision
from collegium.registry.decisions.log import (
    INTERRUPTED,
    DecisionLog,
    DecisionRecord,
    ExchangeRecord,
    FeedbackRecord,
    LoggedDecision,
    OutcomeRecord,
    Status,
)
from collegium.registry.decisions.selection import Selection
from collegium.registry.storage.database import Database
from collegium.registry.storage.pages import Order

MakeDecision = Callable[..., DecisionRecord]
NOON = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
FORECAST = {"expert": "sql", "quality": None, "cost_usd": 0.0, "feasible": True, "note": "ü"}


async def test_a_decision_is_read_back_as_it_was_recorded(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Every field, null qualities and the order of the keys too."""
    decision = make_decision(
        session="s-1",
        forecasts=(FORECAST, {"expert": "general"}),
        limits={"max_cost_usd": 0.01, "experts_allow": ["sql"]},
    )
    await log.record(decision)

    read = await log.get("dec_1")

    assert read == LoggedDecision(decision, outcome=None, feedback=())
    assert list(read.decision.forecasts[0]) == list(FORECAST)


async def test_a_decision_without_its_prompt(log: DecisionLog, make_decision: MakeDecision) -> None:
    """Where queries are not kept, the prompt is None and not an empty text."""
    await log.record(make_decision(prompt=None))

    assert (await log.get("dec_1")).decision.prompt is None


async def test_limits_may_be_any_mapping(log: DecisionLog, make_decision: MakeDecision) -> None:
    """Read-only mappings are stored like dicts, inside lists too."""
    frozen = MappingProxyType({"tradeoff": 3})
    await log.record(make_decision(limits=frozen, forecasts=(frozen,)))

    read = (await log.get("dec_1")).decision

    assert (read.limits, read.forecasts) == ({"tradeoff": 3}, ({"tradeoff": 3},))


async def test_any_prompt_can_be_recorded(log: DecisionLog, make_decision: MakeDecision) -> None:
    """Callers send NUL bytes and halves of surrogate pairs; a request must not fail for them."""
    note = {"note": "\0 \ud800"}
    await log.record(make_decision(prompt="a\0b \ud800 c 🦉", session="\0", forecasts=(note,)))

    read = (await log.get("dec_1")).decision

    assert read.prompt == "a\ufffdb ? c 🦉"
    assert read.session == "\ufffd"
    assert read.forecasts == (note,)


async def test_an_id_is_recorded_once(log: DecisionLog, make_decision: MakeDecision) -> None:
    """A second decision of the same id is refused, and the first stays."""
    await log.record(make_decision())

    with pytest.raises(
        RegistryError, match=r"'dec_1' was rejected by the database: .*(UNIQUE|unique)"
    ):
        await log.record(make_decision(expert="other"))

    assert (await log.get("dec_1")).decision.expert == "sql"


async def test_a_number_that_is_no_number_is_refused(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """NaN is no JSON: some databases would take it, no browser could read it."""
    with pytest.raises(StatementError, match="JSON compliant"):
        await log.record(make_decision(forecasts=[{"quality": float("nan")}]))


async def test_a_time_without_a_zone_is_refused(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Nobody could say later which zone was meant."""
    with pytest.raises(StatementError, match="has no time zone"):
        await log.record(make_decision(created_at=NOON.replace(tzinfo=None)))


async def test_times_come_back_aware_and_exact(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """On both databases, to the microsecond."""
    await log.record(make_decision(created_at=NOON))
    await log.finish(OutcomeRecord("dec_1", "ok", finished_at=NOON))
    await log.feedback(FeedbackRecord("fb_1", "dec_1", "good_fit", created_at=NOON))

    read = await log.get("dec_1")

    assert read.outcome is not None
    times = (
        read.decision.created_at,
        read.outcome.finished_at,
        read.feedback[0].created_at,
    )
    assert times == (NOON, NOON, NOON)
    assert {time.tzinfo for time in times} == {UTC}


async def test_an_outcome_completes_its_decision(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """What was not measured stays None."""
    outcome = OutcomeRecord(
        decision_id="dec_1",
        status="ok",
        prompt_tokens=12,
        completion_tokens=24,
        cost_usd=0.0,
        latency_ms=410.5,
        ttft_ms=95.25,
        finished_at=NOON,
    )
    await log.record(make_decision())
    await log.finish(outcome)

    read = await log.get("dec_1")

    assert read.outcome == outcome
    assert outcome.energy_j is None


async def test_a_second_outcome_takes_the_first_ones_place(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """One decision has one outcome: the last word."""
    last = OutcomeRecord("dec_1", "cancelled", finished_at=NOON)
    await log.record(make_decision())
    await log.finish(OutcomeRecord("dec_1", "error", error="down", latency_ms=3.0))
    await log.finish(last)

    assert (await log.get("dec_1")).outcome == last


async def test_people_may_say_more_than_one_thing(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """All feedback is kept, in the order it came."""
    first = FeedbackRecord("fb_b", "dec_1", "underpowered", "too short", NOON)
    second = FeedbackRecord("fb_a", "dec_1", "good_fit", None, NOON + timedelta(seconds=1))
    await log.record(make_decision())
    await log.feedback(second)
    await log.feedback(first)

    assert (await log.get("dec_1")).feedback == (first, second)


@pytest.mark.parametrize("decision_id", ["dec_absent", "nul\0", ""])
async def test_nothing_is_said_of_an_unknown_decision(log: DecisionLog, decision_id: str) -> None:
    """Feedback, outcome and reading all name the id."""
    with pytest.raises(UnknownDecision, match="no decision has the id") as caught:
        await log.feedback(FeedbackRecord("fb_1", decision_id, "good_fit"))
    assert caught.value.param == "decision_id"
    with pytest.raises(UnknownDecision, match="no decision has the id"):
        await log.finish(OutcomeRecord(decision_id, "ok"))
    with pytest.raises(UnknownDecision, match="no decision has the id"):
        await log.get(decision_id)


async def test_a_verdict_that_does_not_exist_is_refused(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """The database checks what the types promise, and the error is ours."""
    await log.record(make_decision())

    with pytest.raises(RegistryError, match="verdict"):
        await log.feedback(FeedbackRecord("fb_1", "dec_1", "meh"))  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match="status"):
        await log.finish(OutcomeRecord("dec_1", "fine"))  # type: ignore[arg-type]


async def test_deleting_a_decision_deletes_what_was_said_of_it(
    log: DecisionLog, make_decision: MakeDecision, database: Database
) -> None:
    """Foreign keys are on: nothing is left that points nowhere."""
    await log.record(make_decision())
    await log.finish(OutcomeRecord("dec_1", "ok"))
    await log.feedback(FeedbackRecord("fb_1", "dec_1", "failed"))

    async with database.transaction() as session:
        await session.execute(text("DELETE FROM decisions"))

    async with database.session() as session:
        for table in ("outcomes", "feedback"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0


async def test_recent_decisions_come_newest_first(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """As many as were asked for, with their outcomes."""
    for i in range(5):
        await log.record(make_decision(f"dec_{i}", created_at=NOON + timedelta(seconds=i)))
    await log.finish(OutcomeRecord("dec_4", "ok"))

    recent = await log.recent(limit=3)

    assert [entry.decision.id for entry in recent] == ["dec_4", "dec_3", "dec_2"]
    assert [entry.outcome is not None for entry in recent] == [True, False, False]


async def test_outcomes_are_what_a_router_can_learn_from(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Finished decisions whose prompt was kept, oldest first, with their feedback."""
    for i, prompt in enumerate(["a", None, "c", "d"]):
        created = NOON + timedelta(seconds=i)
        await log.record(make_decision(f"dec_{i}", prompt=prompt, created_at=created))
    for finished in ("dec_3", "dec_1", "dec_0"):
        await log.finish(OutcomeRecord(finished, "ok"))
    await log.feedback(FeedbackRecord("fb_1", "dec_3", "good_fit"))

    learnable = await log.outcomes()

    assert [entry.decision.id for entry in learnable] == ["dec_0", "dec_3"]
    assert [len(entry.feedback) for entry in learnable] == [0, 1]
    assert await log.outcomes(limit=1) == learnable[:1]


async def test_what_learning_needs_comes_in_pages_oldest_first(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Finished decisions of which a text was kept, with exchange and feedback."""
    for i, prompt in enumerate(["a", None, None, "d"]):
        created = NOON + timedelta(seconds=i)
        await log.record(make_decision(f"dec_{i}", prompt=prompt, created_at=created))
    for i in range(3):
        await log.finish(OutcomeRecord(f"dec_{i}", "ok"))
    asked, answered = '{"messages": []}', '{"choices": [{"index": 0}]}'
    await log.exchange(ExchangeRecord("dec_2", "", None, None, 40, asked, answered))
    await log.feedback(FeedbackRecord("fb_1", "dec_2", score=0.4))

    (first,) = await log.learnable(limit=1)
    (second,) = await log.learnable(after=first.decision.id)

    assert (first.decision.id, first.request, first.answer) == ("dec_0", None, None)
    assert (second.decision.id, second.request) == ("dec_2", {"messages": []})
    assert second.answer == {"choices": [{"index": 0}]}
    assert [each.score for each in second.feedback] == [0.4]
    assert await log.learnable(since=NOON + timedelta(seconds=1)) == (second,)
    assert await log.learnable(after="dec_2") == ()


async def test_a_reading_goes_on_where_its_last_decision_was_deleted(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Retention deletes the oldest ones, which are read first."""
    for i in range(3):
        await log.record(make_decision(f"dec_{i}", created_at=NOON + timedelta(seconds=i)))
        await log.finish(OutcomeRecord(f"dec_{i}", "ok"))
    (first,) = await log.learnable(limit=1)
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM decisions WHERE id = 'dec_0'"))
    found = await log.learnable(after=first.decision.id)
    assert [each.decision.id for each in found] == ["dec_1", "dec_2"]


async def test_what_one_application_can_learn_from(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Its own decisions; an unknown one is no cursor."""
    for name, application in [("1", "desk"), ("2", None), ("3", "desk")]:
        await log.record(make_decision(f"dec_{name}", application=application))
        await log.finish(OutcomeRecord(f"dec_{name}", "ok"))
    found = await log.learnable(application="desk")
    assert {each.decision.id for each in found} == {"dec_1", "dec_3"}
    with pytest.raises(UnknownDecision):
        await log.learnable(after="dec_4")


async def test_the_exchange_of_a_deleted_decision_harms_nobody(log: DecisionLog) -> None:
    """It is written in the background, where nobody could do anything about it."""
    await log.exchange(ExchangeRecord("dec_none", "", None, None, 2, "{}", None))


async def test_what_was_in_flight_at_a_kill_is_marked(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Once, and an outcome that comes nevertheless takes the mark's place."""
    now = datetime.now(UTC)
    early, late = make_decision("dec_early"), make_decision("dec_late")
    done = make_decision("dec_done")
    for record in (early, done, replace(late, created_at=now + timedelta(seconds=5))):
        await log.record(record)
    await log.finish(OutcomeRecord("dec_done", "ok"))
    before = max(now, early.created_at) + timedelta(seconds=1)
    assert await log.mark_interrupted(before) == 1
    assert await log.mark_interrupted(before) == 0
    outcome = (await log.get("dec_early")).outcome
    assert outcome is not None
    assert (outcome.status, outcome.error) == ("error", INTERRUPTED)
    assert (await log.get("dec_late")).outcome is None
    await log.finish(OutcomeRecord("dec_early", "ok"))
    found = (await log.get("dec_early")).outcome
    assert found is not None
    assert found.status == "ok"


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_of_several_owners_is_that_of_all_their_decisions(
    log: DecisionLog, make_decision: Callable[..., DecisionRecord], order: Order
) -> None:
    """In the order of their making, whoever made them; others' are passed over."""
    owners = ["ann", "bob", "cat", "ann", "ann", "dan", "bob", "ann", "", "cat"]
    for number, owner in enumerate(owners):
        made = NOON + timedelta(seconds=number // 2)  # two at a time
        await log.record(make_decision(f"dec_{number}", created_at=made, owner=owner))
    team = Selection(scope=frozenset({"ann", "bob", "eve"}))
    expected = [f"dec_{n}" for n, owner in enumerate(owners) if owner in ("ann", "bob")]
    if order == "desc":
        expected.reverse()
    found: list[str] = []
    after: str | None = None
    while True:
        page = await log.list(team, after=after, limit=2, order=order)
        found += [each.decision.id for each in page.items]
        if not page.has_more:
            break
        after = found[-1]
    assert found == expected
    narrow = Selection(scope=team.scope, since=NOON + timedelta(seconds=3))
    page = await log.list(narrow, order="asc")
    assert [each.decision.id for each in page.items] == ["dec_6", "dec_7"]
    outside = Selection(scope=frozenset())
    assert (await log.list(outside)).items == ()


async def test_failures_are_listed_by_what_their_decisions_are(
    log: DecisionLog, make_decision: MakeDecision
) -> None:
    """Those that a kill interrupted too; what succeeded after all is none of them any more."""
    for number, (owner, application, expert) in enumerate(
        [
            ("ann", "desk", "sql"),
            ("ann", "chat", "poet"),
            ("bob", "desk", "sql"),
            ("bob", None, "sql"),
        ]
    ):
        fields = {"owner": owner, "application": application, "expert": expert}
        at = NOON + timedelta(minutes=number)
        await log.record(make_decision(f"dec_{number}", created_at=at, **fields))
    ends: dict[str, Status] = {"dec_0": "error", "dec_1": "error", "dec_3": "cancelled"}
    for name, status in ends.items():
        ended = NOON + timedelta(minutes=5)
        await log.finish(OutcomeRecord(name, status, expert="other", finished_at=ended))
    assert await log.mark_interrupted(NOON + timedelta(hours=1)) == 1

    async def failed(**chosen: Any) -> list[str]:
        given: dict[str, Any] = {"status": "error"} | chosen
        page = await log.list(Selection(**given), order="asc")
        return sorted(each.decision.id for each in page.items)

    assert await failed() == ["dec_0", "dec_1", "dec_2"]
    assert await failed(owner="ann") == ["dec_0", "dec_1"]
    assert await failed(scope=frozenset({"ann", "carl"})) == ["dec_0", "dec_1"]
    assert await failed(application="desk") == ["dec_0", "dec_2"]
    assert await failed(application="desk", owner="bob") == ["dec_2"]
    assert await failed(expert="sql") == ["dec_0", "dec_2"]
    assert await failed(expert="other") == []
    assert await failed(status="cancelled", owner="bob") == ["dec_3"]
    assert await failed(since=NOON + timedelta(minutes=1), before=NOON + timedelta(minutes=2)) == [
        "dec_1"
    ]
    await log.finish(OutcomeRecord("dec_0", "ok"))
    assert await failed(owner="ann") == ["dec_1"]
    with pytest.raises(UnknownDecision):
        await log.finish(OutcomeRecord("dec_9", "error"))
