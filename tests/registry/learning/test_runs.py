"""Learning runs: one worker each, answers written once, marks replaced by source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from collegium.errors import UnknownLearningRun
from collegium.registry.decisions.log import DecisionLog, DecisionRecord
from collegium.registry.decisions.retention import Retention
from collegium.registry.decisions.selection import Selection
from collegium.registry.learning import forgetting
from collegium.registry.learning.router_versions import RouterVersion, RouterVersions
from collegium.registry.learning.runs import (
    LEASE,
    LearningAnswer,
    LearningPrompt,
    LearningRegistry,
    Mark,
    RunRecord,
)
from tests.registry.conftest import OpenDatabase

EARLY = datetime(2026, 1, 1, tzinfo=UTC)


def record(run_id: str, **fields: object) -> RunRecord:
    return replace(RunRecord(run_id, "ada", {}, {}, status="running"), **fields)  # type: ignore[arg-type]


def prompt(run_id: str, number: int, digest: str) -> LearningPrompt:
    return LearningPrompt(run_id, number, digest, "text", {"messages": []}, {})


def answer(run_id: str, number: int, expert: str, **fields: object) -> LearningAnswer:
    plain = LearningAnswer(run_id, number, expert, "weights", {"content": "42"}, cost_usd=0.5)
    return replace(plain, **fields)  # type: ignore[arg-type]


@pytest.fixture
async def replicas(open_database: OpenDatabase) -> tuple[LearningRegistry, LearningRegistry]:
    """The same runs as two replicas see them."""
    first = open_database()
    await first.migrate()
    return LearningRegistry(first), LearningRegistry(open_database())


@pytest.fixture
def runs(replicas: Sequence[LearningRegistry]) -> LearningRegistry:
    """The runs."""
    return replicas[0]


async def test_a_proposal_is_written_completely_or_not_at_all(runs: LearningRegistry) -> None:
    """A prompt whose number appears twice takes the run with it."""
    twice = [prompt("lrn_1", 0, "a"), prompt("lrn_1", 0, "b")]
    with pytest.raises(IntegrityError):
        await runs.propose(record("lrn_1"), twice)
    with pytest.raises(UnknownLearningRun, match="no learning run has the id 'lrn_1'"):
        await runs.get("lrn_1")


async def test_the_oldest_free_run_is_claimed_first(runs: LearningRegistry) -> None:
    """Runs that are only proposed are left alone."""
    await runs.propose(record("lrn_new"), [])
    await runs.propose(record("lrn_old", created_at=EARLY), [])
    await runs.propose(record("lrn_plan", status="proposed", created_at=EARLY), [])
    claimed = [await runs.claim("one"), await runs.claim("two"), await runs.claim("three")]
    assert [run and run.id for run in claimed] == ["lrn_old", "lrn_new", None]


async def test_of_workers_that_claim_at_once_one_gets_the_run(
    replicas: tuple[LearningRegistry, LearningRegistry],
) -> None:
    """Replicas never work on the same run."""
    await replicas[0].propose(record("lrn_1"), [])
    claimed = await asyncio.gather(*(r.claim(f"worker {i}") for i, r in enumerate(replicas)))
    assert sum(run is not None for run in claimed) == 1


async def test_a_run_of_a_dead_worker_is_taken_over(runs: LearningRegistry) -> None:
    """The old worker notices that it lost the run, and its progress is not written."""
    over = datetime.now(UTC) - timedelta(seconds=1)
    await runs.propose(record("lrn_1", worker="dead", leased_until=over), [])
    assert await runs.claim("alive")
    assert not await runs.renew("lrn_1", "dead", answered=99)
    assert await runs.renew("lrn_1", "alive", answered=3)
    found = await runs.get("lrn_1")
    assert (found.worker, found.answered) == ("alive", 3)
    assert found.leased_until is not None
    assert timedelta(0) < found.leased_until - datetime.now(UTC) <= LEASE


async def test_a_cancelled_run_is_not_renewed(runs: LearningRegistry) -> None:
    """So its worker stops."""
    await runs.propose(record("lrn_1"), [])
    assert await runs.claim("one")
    assert await runs.change("lrn_1", out_of=["running"], status="cancelled")
    assert not await runs.change("lrn_1", out_of=["running"], status="finished")
    assert not await runs.renew("lrn_1", "one")


async def test_a_released_run_is_free_at_once(runs: LearningRegistry) -> None:
    """Another replica goes on without waiting for the lease's end."""
    await runs.propose(record("lrn_1"), [])
    assert await runs.claim("one")
    assert await runs.claim("two") is None
    await runs.release("one")
    assert await runs.claim("two")


async def test_evidence_is_in_the_order_of_the_prompts(runs: LearningRegistry) -> None:
    """An answer or a mark that is written again replaces the earlier one."""
    await runs.propose(record("lrn_1"), [prompt("lrn_1", 1, "b"), prompt("lrn_1", 0, "a")])
    await runs.answered(answer("lrn_1", 1, "sql", answer=None, error="broke"))
    await runs.answered(answer("lrn_1", 1, "sql"))
    mark = Mark("lrn_1", 1, "sql", "judge", 0.0, 0.8, "ada")
    await runs.mark([mark])
    await runs.mark([replace(mark, score=1.0), replace(mark, source="confirmed", score=0.5)])
    found = await runs.evidence(["lrn_1"])
    assert [p.number for p in found.prompts] == [0, 1]
    assert [a.error for a in found.answers] == [None]
    assert {m.source: m.score for m in found.marks} == {"judge": 1.0, "confirmed": 0.5}
    assert await runs.with_marks() == ("lrn_1",)


async def test_answers_of_earlier_runs_are_found_by_digest(runs: LearningRegistry) -> None:
    """Only those that were paid for and succeeded, oldest first."""
    await runs.propose(record("lrn_1"), [prompt("lrn_1", n, f"d{n}") for n in range(600)])
    await runs.propose(record("lrn_2"), [prompt("lrn_2", 0, "d0")])
    await runs.answered(answer("lrn_1", 0, "sql"))
    await runs.answered(answer("lrn_2", 0, "sql", created_at=EARLY))
    await runs.answered(answer("lrn_1", 1, "sql", logged=True))
    await runs.answered(answer("lrn_1", 2, "sql", answer=None, error="broke"))
    await runs.answered(answer("lrn_1", 599, "sql"))
    found = await runs.answers_to([f"d{n}" for n in range(600)])
    assert {digest: [a.run_id for a in answers] for digest, answers in found.items()} == {
        "d0": ["lrn_2", "lrn_1"],
        "d599": ["lrn_1"],
    }


async def test_a_removed_run_leaves_nothing(runs: LearningRegistry) -> None:
    """Its texts, answers and marks go with it; removing it twice is an error."""
    await runs.propose(record("lrn_1"), [prompt("lrn_1", 0, "a")], [answer("lrn_1", 0, "sql")])
    await runs.remove("lrn_1")
    found = await runs.evidence(["lrn_1"])
    assert (found.prompts, found.answers, found.marks) == ((), (), ())
    with pytest.raises(UnknownLearningRun):
        await runs.remove("lrn_1")


async def test_a_deleted_decision_takes_its_prompts_along(
    runs: LearningRegistry, make_decision: Callable[..., DecisionRecord]
) -> None:
    """With answers, marks and quotes in any run's report; other prompts stay."""
    database = runs._database
    versions = RouterVersions(database)
    await DecisionLog(database).record(make_decision("dec_1"))
    secret = replace(prompt("lrn_1", 0, "a"), text="a secret", decision_id="dec_1")
    prompts = [secret, prompt("lrn_1", 1, "b")]
    marks = [Mark("lrn_1", n, "x", "checker", 1.0, 1.0, "ada") for n in (0, 1)]
    await runs.propose(record("lrn_1"), prompts, [answer("lrn_1", n, "x") for n in (0, 1)], marks)
    quotes = {"worst": [{"prompt": "a secret"}, {"prompt": "text"}], "marks": 2}
    await runs.propose(record("lrn_2", report=quotes), [])
    await versions.add(RouterVersion("rtr_1", "ada", "lrn_2", report=quotes), b"", b"")
    assert await Retention(database).delete(Selection(decision_id="dec_1")) == 1
    left = await runs.evidence(["lrn_1"])
    assert [p.number for p in left.prompts] == [1]
    assert [a.number for a in left.answers] == [m.number for m in left.marks] == [1]
    others = {"worst": [{"prompt": "text"}], "marks": 2}
    assert (await runs.get("lrn_2")).report == others
    assert (await versions.get("rtr_1")).report == others


async def test_only_reports_that_quote_a_deleted_prompt_are_read(
    runs: LearningRegistry, make_decision: Callable[..., DecisionRecord], monkeypatch: Any
) -> None:
    """Of the others their quotes alone, a few at a time; a report without any is no obstacle."""
    monkeypatch.setattr(forgetting, "AT_ONCE", 2)
    database, asked = runs._database, []
    await DecisionLog(database).record(make_decision("dec_1"))
    secret = replace(prompt("lrn_0", 0, "a"), text="a secret", decision_id="dec_1")
    await runs.propose(record("lrn_0"), [secret])
    worst: list[Any] = [[{"prompt": "text"}], [{"prompt": "a secret"}], [], None]
    for number in range(12):
        report = {"worst": worst[number % 4], "much": "x" * 1000} if number < 11 else {}
        await runs.propose(record(f"lrn_1{number:02}", report=report), [])

    def told(*arguments: Any) -> None:
        asked.append(arguments[2])

    event.listen(database._engine.sync_engine, "before_cursor_execute", told)
    assert await Retention(database).delete(Selection(decision_id="dec_1")) == 1
    whole = [text for text in asked if text.startswith("SELECT learning_runs.report \n")]
    assert len(whole) == 3
    left = [run.report for run in await runs.list() if run.report]
    assert [report["worst"] for report in left].count([]) == 3 + 3
    assert "a secret" not in str(left)


async def test_a_deleted_run_takes_its_candidate_along(runs: LearningRegistry) -> None:
    """A router that was in use stays for a rollback, and quotes the run's prompts no longer."""
    versions = RouterVersions(runs._database)
    await runs.propose(record("lrn_1"), [prompt("lrn_1", 0, "a")])
    quotes = {"worst": [{"prompt": "text"}]}
    for name, run in (("rtr_new", "lrn_1"), ("rtr_used", "lrn_1"), ("rtr_other", "lrn_2")):
        await versions.add(RouterVersion(name, "ada", run, report=quotes), b"", b"")
    await versions.become("rtr_used", "serving")
    await runs.remove("lrn_1")
    left = {version.id: version for version in await versions.list()}
    assert left.keys() == {"rtr_used", "rtr_other"}
    assert all(version.report == {"worst": []} for version in left.values())
