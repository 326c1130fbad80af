"""A registry with a month of traffic, for the console to show: no expert needs to be there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collegium.registry.bulk.batches import BatchRecord, BatchRegistry, BatchStatus
from collegium.registry.decisions.log import DecisionRecord, FeedbackRecord, OutcomeRecord
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.learning.alarms import Alarm, AlarmRegistry
from collegium.registry.learning.router_versions import RouterVersion, RouterVersions
from collegium.registry.learning.runs import (
    LearningAnswer,
    LearningPrompt,
    LearningRegistry,
    Mark,
    RunRecord,
)
from collegium.registry.storage.database import Database
from collegium.registry.tables import DecisionRow, FeedbackRow, OutcomeRow, to_columns
from collegium.router.learning.report import report
from collegium.settings import load_settings
from tests.router.learning.test_report import held

EXPERTS = {"small": (0.1, 0.4, 0.62), "coder": (0.3, 1.2, 0.78), "large": (2.5, 10.0, 0.86)}
"""Prices for a million tokens, and how often each is right."""
LONG = "an-expert-with-a-name-that-nobody-would-choose-but-somebody-does-anyway-v2-instruct-q4"
APPLICATIONS = ("support-chat", "sql-reports", None)
OWNERS = ("shop", "lab", "")
DAYS = 30


def seed(
    folder: Path, *, decisions: int = 3000, experts: int = 4, now: datetime | None = None
) -> None:
    """Fill the registry of a data folder."""
    asyncio.run(_seed(folder, decisions, experts, now or datetime.now(UTC)))


async def _seed(folder: Path, decisions: int, experts: int, now: datetime) -> None:
    database = Database(load_settings(data_dir=folder).registry_url)
    await database.migrate()
    await _experts(ExpertRegistry(database), experts)
    await write(database, rows(decisions, now))
    await _rest(database, now)
    await database.close()


async def _experts(registry: ExpertRegistry, count: int) -> None:
    names = [*EXPERTS, LONG, *(f"expert-{number:03}" for number in range(count - 4))][:count]
    for name in names:
        price = EXPERTS.get(name, (None, None, 0))
        await registry.register(
            Expert(
                name,
                "openai",
                name,
                base_url="http://127.0.0.1:9/v1",
                input_price=price[0],
                output_price=price[1],
                generalist=name == "small",
                description=f"Answers as {name} would",
                capabilities={"tools": True, "json_object": True},
            )
        )


def rows(count: int, now: datetime, seed: int = 0) -> Iterator[tuple[Any, Any, Any]]:
    """Decisions with their outcomes and, of some, feedback; oldest first."""
    draw, names = random.Random(seed), list(EXPERTS)
    for number in range(count):
        at = now - timedelta(days=DAYS) * (1 - (number + 1) / count)
        expert = draw.choices(names, (5, 3, 1))[0]
        right = EXPERTS[expert][2]
        status: Any = draw.choices(("ok", "error", "cancelled"), (96, 3, 1))[0]
        decision = DecisionRecord(
            f"dec_{seed:02}{number:028x}", at, "auto", expert, "quality", right,
            f"{expert} is {right:.0%} likely to be right and costs least of those who are",
            prompt="How many films are older than 1950?", session=f"s-{number % 500}",
            forecasts=[_forecast(name, draw) for name in names],
            application=draw.choice(APPLICATIONS), owner=draw.choice(OWNERS),
        )  # fmt: skip
        price_in, price_out, _ = EXPERTS[expert]
        out = draw.randint(20, 400)
        outcome = OutcomeRecord(
            decision.id, status, None if status == "ok" else "no answer in 60 s",
            prompt_tokens=300, completion_tokens=out, expert=expert,
            cost_usd=(300 * price_in + out * price_out) / 1e6,
            latency_ms=draw.gammavariate(4, 250.0), ttft_ms=120.0, waited_ms=3.0, finished_at=at,
        )  # fmt: skip
        score = float(draw.random() < right)
        rated = status == "ok" and draw.random() < 0.05
        feedback = FeedbackRecord(f"fb_{decision.id}", decision.id, score=score, created_at=at)
        yield decision, outcome, feedback if rated else None


def _forecast(name: str, draw: random.Random) -> dict[str, Any]:
    price_in, price_out, right = EXPERTS[name]
    quality = min(0.99, max(0.05, draw.gauss(right, 0.08)))
    return {
        "expert": name, "quality": quality, "cost_usd": (300 * price_in + 210 * price_out) / 1e6,
        "latency_ms": 900.0, "wait_ms": 0.0, "energy_j": None, "output_tokens": 210.0,
        "feasible": True, "note": "", "lowered": 0.0,
    }  # fmt: skip


async def write(
    database: Database, made: Iterator[tuple[Any, Any, Any]], chunk: int = 5000
) -> None:
    """Write them, so many in a transaction."""
    from itertools import islice

    from sqlalchemy import insert

    while part := list(islice(made, chunk)):
        async with database.transaction() as session:
            for place, table in enumerate((DecisionRow, OutcomeRow, FeedbackRow)):
                columns = [_columns(row, place) for row in part if row[place] is not None]
                if columns:
                    await session.execute(insert(table), columns)


def _columns(row: tuple[Any, Any, Any], place: int) -> dict[str, Any]:
    """What the log writes: a failed outcome has a copy of whose it is."""
    columns, (decision, outcome, _) = to_columns(row[place]), row
    if place != 1:
        return columns
    copied = {name: getattr(decision, name) for name in ("application", "expert", "owner")}
    failed = outcome.status != "ok"
    return columns | {f"failed_{name}": value if failed else None for name, value in copied.items()}


async def _rest(database: Database, now: datetime) -> None:
    alarms = AlarmRegistry(database)
    await alarms.raise_(
        Alarm(
            "drift", "coder's answers are marked 12 points below its forecasts", "coder", None, 0.12
        )
    )
    closed = Alarm("model_changed", "large's upstream says that it is another model", "large")
    await alarms.raise_(closed)
    await alarms.close(closed.id, "the provider announced it")
    told = asdict(report(held(), usd_a_prompt=0.01))
    versions = RouterVersions(database)
    await versions.add(RouterVersion("rtr_1", "", "lrn_1", told), b"{}", b"")
    await versions.add(RouterVersion("rtr_2", "", None, None, "rolled_back"), b"{}", b"")
    batches = BatchRegistry(database)
    statuses: tuple[BatchStatus, ...] = ("completed", "failed", "cancelled")
    for number, status in enumerate(statuses):
        money = {
            "spent_usd": 1.25,
            "reserved_usd": 0.0,
            "forecast_rest_usd": 0.0,
            "budget_usd": 2.0,
        }
        await batches.add(
            BatchRecord(
                f"batch_{number}",
                "/v1/chat/completions",
                "file-1",
                "24h",
                now + timedelta(days=1),
                status,
                now - timedelta(hours=number),
                total=400,
                completed=390 - number,
                failed=number,
                money=money,
            )
        )
    await _learning(LearningRegistry(database))


async def _learning(runs: LearningRegistry) -> None:
    run = RunRecord("lrn_1", "", {}, {}, "finished", answered=6, planned=6, router="rtr_1")
    prompts, answers, marks = [], [], []
    for number in range(3):
        request = {"messages": [{"role": "user", "content": f"How much is {number} + {number}?"}]}
        prompts.append(LearningPrompt("lrn_1", number, f"d{number}", "How much?", request, {}))
        for expert, score, sure in (("large", 1.0, 1.0), ("small", 0.4, 0.8)):
            said = {"role": "assistant", "content": f"{expert} says {2 * number}"}
            answers.append(LearningAnswer("lrn_1", number, expert, f"f-{expert}", said))
            marks.append(Mark("lrn_1", number, expert, "judge", score, sure, ""))
    await runs.propose(run, prompts, answers, marks)
