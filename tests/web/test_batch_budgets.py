"""A bulk job's budget: never overspent, whatever answers cost and whenever the service dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import BudgetExhausted, ExpertTimeout
from collegium.registry.bulk.batches import BatchRecord, BatchRegistry
from collegium.registry.bulk.journal import BatchJournal
from collegium.registry.storage.database import Database
from collegium.web.batch import asking, job
from collegium.web.batch.ledger import GENEROUS, Ledger
from collegium.web.batch.worker import BatchWorker
from tests.web.bulk import done, ended, line, results, submitted
from tests.web.conftest import Serve, Web, until

SQL_PRICE = 2e-6


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "WATCH_S", 0.01)
    monkeypatch.setattr(asking, "LONGEST_WAIT_S", 0.0)


def long_winded(web: Web, tokens: int) -> None:
    """All experts write so much from now on, whatever they are told."""
    for name in ("sql", "general"):
        web.experts[name].usage = {"prompt_tokens": 7, "completion_tokens": tokens}


def paid(web: Web) -> float:
    """What all calls so far were billed."""
    used = web.experts["sql"].usage or {}
    each: float = 1e-6 * used["prompt_tokens"] + SQL_PRICE * used["completion_tokens"]
    return len(web.experts["sql"].asked) * each


async def forecast(web: Web) -> dict[str, Any]:
    """The forecast of sql's next answer."""
    _, told = await done(web, [line("a", model="sql")])
    found: dict[str, Any] = told["a"]["body"]["collegium"]["decision"]["forecasts"][0]
    return found


@pytest.mark.parametrize("model", ["sql", "auto"])
@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
async def test_answers_five_times_as_long_as_forecast_do_not_overspend(
    web: Web, model: str, share: float
) -> None:
    """The rest is answered by who costs less, or ends with an error of its own."""
    for _ in range(4):
        usual = await forecast(web)
    long_winded(web, 5 * usual["output_tokens"])
    count = 40
    web.experts["sql"].asked.clear()
    budget = share * count * (7e-6 + SQL_PRICE * 5 * usual["output_tokens"])
    lines = [line(str(n), f"sql {n}", model) for n in range(count)]
    batch, told = await done(web, lines, routing={"max_cost_usd": budget})
    assert batch["status"] == "completed"
    assert 0.6 * budget <= paid(web) <= budget
    assert batch["money"]["spent_usd"] == pytest.approx(paid(web))
    who = Counter(response["body"]["model"] for response in told.values())
    if model == "auto":
        assert sum(who.values()) == count
        assert who["lists"] > 0
    else:
        failed = await results(web, batch["error_file_id"])
        codes = {record["response"]["body"]["error"]["code"] for record in failed}
        assert codes == {"budget_exhausted"}
        assert len(failed) + len(told) == count


async def test_the_money_of_a_job_is_told(web: Web) -> None:
    """Spent, reserved, forecast of the rest and budget, while it runs and after."""
    await forecast(web)
    script = web.experts["sql"]
    script.waits = True
    lines = [line(str(n)) for n in range(40)]
    batch = await submitted(web, lines, routing={"max_cost_usd": 1.0})

    async def running() -> Any:
        money = (await web.http.get(f"/v1/batches/{batch}")).json()["money"]
        return money if money and money["reserved_usd"] else None

    await until(running)
    money = await running()
    assert money["budget_usd"] == 1.0
    assert money["spent_usd"] == 0
    assert 0 < money["reserved_usd"] < 1
    assert money["forecast_rest_usd"] > 0
    script.go.set()
    found = (await ended(web, batch))["money"]
    assert found["spent_usd"] == pytest.approx(40 * 11e-6)
    assert found["reserved_usd"] == 0
    assert found["forecast_rest_usd"] == 0


async def test_a_job_without_a_budget_tells_what_it_has_spent(web: Web) -> None:
    """And keeps no ledger."""
    batch, _ = await done(web, [line(str(n)) for n in range(5)])
    assert batch["money"]["spent_usd"] == pytest.approx(5 * 11e-6)
    assert batch["money"]["budget_usd"] is None


async def test_near_the_end_max_tokens_is_cut_to_what_is_reserved(web: Web) -> None:
    """So an answer can't cost more than is left."""
    for _ in range(12):
        usual = await forecast(web)
    script = web.experts["sql"]
    script.asked.clear()
    budget = 1.5 * usual["most_usd"]
    await done(web, [line("a")], routing={"max_cost_usd": budget})
    await done(web, [line("b", max_completion_tokens=10_000)], routing={"max_cost_usd": 1.0})
    capped, free = (call.body for call in script.asked)
    assert capped["max_tokens"] * SQL_PRICE <= budget
    assert free["max_completion_tokens"] == 10_000


async def test_a_time_out_may_be_billed(web: Web) -> None:
    """What was reserved stays spent, and the next try is paid for anew."""
    script = web.experts["sql"]
    script.refuses, script.recovers = ExpertTimeout("sql", "took too long"), 1
    batch, _ = await done(web, [line("a")], routing={"max_cost_usd": 1.0})
    assert batch["money"]["spent_usd"] > 11e-6


async def test_a_killed_job_goes_on_with_what_is_left(serve: Serve) -> None:
    """Lines that were in flight may have been billed, so they count."""
    lines = [line(str(n)) for n in range(30)]
    async with serve() as web:
        for _ in range(4):
            usual = await forecast(web)
        web.experts["sql"].asked.clear()
        long_winded(web, 5 * usual["output_tokens"])
        each = 7e-6 + SQL_PRICE * 5 * usual["output_tokens"]
        budget = 20 * each
        batch = await submitted(web, lines, routing={"max_cost_usd": budget})
        await until(lambda: len(web.experts["sql"].asked) > 4)
        web.experts["sql"].waits = True
        await asyncio.sleep(0.1)
        asked = len(web.experts["sql"].asked)
        service = web.app.state.service
        await service._workers[0].close()
        ledger = Ledger(budget, journal(web.parts.database, batch))
        await ledger.recover()
        assert ledger.spent >= asked * each * 0.99
        web.experts["sql"].waits = False
        web.experts["sql"].go.set()
        service._workers[0] = BatchWorker(web.parts)
        service._workers[0].start()
        found = await ended(web, batch)
        assert paid(web) <= budget
        assert found["money"]["spent_usd"] <= budget


def journal(database: Database, batch: str, worker: str = "a test") -> BatchJournal:
    """The journal of a job; only the worker that has claimed the job writes."""
    return BatchJournal(database, batch, worker)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[BatchJournal]:
    """The journal of a job that this test has claimed."""
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    await database.migrate()
    batches, later = BatchRegistry(database), datetime.now(UTC) + timedelta(hours=1)
    await batches.add(BatchRecord("batch_1", "/v1/chat/completions", "file-1", "1h", later))
    assert await batches.claim("batch_1", "a test")
    yield journal(database, "batch_1")
    await database.close()


async def test_a_ledger_survives_its_worker(kept: BatchJournal) -> None:
    """Spent, in flight, asked twice: all of it counts."""
    ledger = Ledger(100.0, kept)
    first = await ledger.reserve(1, 1.0)
    second = await ledger.reserve(2, 2.0)
    await ledger.settle(1, 0.5)
    again = Ledger(100.0, kept)
    await again.recover()
    assert first.usd == GENEROUS
    assert again.spent == pytest.approx(0.5 + second.usd)
    assert again.reserved == 0


async def test_no_more_is_reserved_than_an_answer_can_cost(kept: BatchJournal) -> None:
    """Whatever is wished for; and what is reserved then needs no cut."""
    ledger = Ledger(100.0, kept)
    bounded = await ledger.reserve(1, 1.0, 6.0, 1.5)
    assert (bounded.usd, bounded.tight) == (1.5, False)
    assert (await ledger.reserve(2, 1.0, 6.0)).usd == 6.0


async def test_a_kill_costs_a_job_no_more_than_its_lines_in_flight_can(serve: Serve) -> None:
    """With `max_tokens` that is one answer each, not six, so the others can still be paid for."""
    async with serve() as web:
        script = web.experts["sql"]
        script.usage = {"prompt_tokens": 0, "completion_tokens": 5}
        script.waits = True
        lines = [line(str(n), model="sql", max_tokens=5) for n in range(30)]
        batch = await submitted(web, lines, routing={"max_cost_usd": 1.0})
        await until(lambda: len(script.asked) > 1)
        await asyncio.sleep(0.1)
        service = web.app.state.service
        await service._workers[0].close()
        ledger = Ledger(1.0, journal(web.parts.database, batch))
        await ledger.recover()
        count, longest = len(script.asked), 5 * SQL_PRICE
        assert count * longest <= ledger.spent <= count * (longest + GENEROUS * 50e-6)
        script.waits = False
        service._workers[0] = BatchWorker(web.parts)
        service._workers[0].start()
        assert (await ended(web, batch))["money"]["spent_usd"] < 1.0


async def test_a_line_waits_for_money_that_others_may_give_back(kept: BatchJournal) -> None:
    """Where nobody is in flight, nothing comes back."""
    ledger = Ledger(3.0, kept)
    await ledger.reserve(1, 2.0)
    waiting = asyncio.create_task(ledger.reserve(2, 2.0))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await ledger.settle(1, 0.5)
    assert (await waiting).usd >= 2.0
    await ledger.settle(2, 2.0)
    with pytest.raises(BudgetExhausted, match=r"2\.5 USD are spent"):
        await ledger.reserve(3, 2.0)
    with pytest.raises(BudgetExhausted, match="can't be bounded"):
        await ledger.reserve(4, None)
