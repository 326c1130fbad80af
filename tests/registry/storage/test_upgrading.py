"""A database that an earlier version left is migrated and read back whole.

`databases/0009.sql` is such a database as SQL text; what was written into it stands here.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collegium.registry.bulk.batches import BatchRecord, BatchRegistry
from collegium.registry.bulk.files import FileRecord, FileRegistry
from collegium.registry.decisions.log import (
    DecisionLog,
    DecisionRecord,
    FeedbackRecord,
    LoggedDecision,
    OutcomeRecord,
)
from collegium.registry.engine import Engine
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from collegium.registry.tables import Table

LEFT = (Path(__file__).parent / "databases" / "0009.sql").read_text(encoding="utf-8")


def at(minute: int) -> datetime:
    """A moment of the hour in which the rows were written."""
    return datetime(2026, 3, 1, 12, minute, tzinfo=UTC)


GENERALIST = Expert(
    "smollm2", "engine", "smollm2", engine="embedded", description="Generalist", generalist=True
)
SQL = Expert(
    "sql",
    "lora",
    "sql",
    engine="embedded",
    adapter="builtin:sql",
    description="Schreibt SQL, schön",
    skills={"sql": 0.97, "general": 0.02},
    context_window=4096,
)
GPT = Expert(
    "gpt",
    "litellm",
    "openai/gpt-4o-mini",
    base_url="https://api.example.org/v1",
    api_key_env="OPENAI_API_KEY",
    input_price=0.15,
    output_price=0.6,
    context_window=128_000,
    enabled=False,
    version=2,
)
POET = Expert("poet", "engine", "poet", engine="poet")
ENGINES = (
    Engine(
        name="olmoe",
        model_path="/models/olmoe",
        dtype="bfloat16",
        context=4096,
        max_sequences=16,
        cache_gib=2.5,
        device="0,1",
        lora_slots=4,
        flags="--seed=1 --quantization=awq",
        sleep_level=1,
        token_policy={"top_p": 0.7, "statistics": True},
    ),
    Engine(name="poet", model_path="/models/poet"),
)
ANSWERED = LoggedDecision(
    DecisionRecord(
        "dec_1",
        at(0),
        "auto",
        "sql",
        "quality",
        0.93,
        "asks for SQL",
        prompt="Count the users",
        session="s1",
        forecasts=({"expert": "sql", "quality": 0.93},),
        limits={"max_cost_usd": 0.01},
        propensity=0.5,
    ),
    OutcomeRecord(
        "dec_1",
        "ok",
        prompt_tokens=12,
        completion_tokens=34,
        cost_usd=0.001,
        latency_ms=850.5,
        ttft_ms=120.25,
        waited_ms=10.0,
        energy_j=38.3,
        expert="smollm2",
        tried=({"expert": "sql", "error": "timeout"},),
        calls=({"expert": "smollm2", "status": "ok"},),
        finished_at=at(2),
    ),
    (
        FeedbackRecord("fb_1", "dec_1", "good_fit", "thanks", at(4), preferred="sql"),
        FeedbackRecord("fb_2", "dec_1", "failed", created_at=at(5)),
    ),
)
FAILED = LoggedDecision(
    DecisionRecord("dec_2", at(1), "gpt", "gpt", "named", 1.0, "named by the caller"),
    OutcomeRecord("dec_2", "error", "its provider is away", finished_at=at(3)),
    (),
)
FILES = (
    FileRecord("file-1", "in.jsonl", "batch", 5_000_000_000, at(6)),
    FileRecord(
        "file-2", "out.jsonl", "batch_output", 1234, at(7), datetime(2999, 1, 1, tzinfo=UTC)
    ),
)
CHAT = "/v1/chat/completions"
BATCHES = (
    BatchRecord(
        "batch_1",
        CHAT,
        "file-1",
        "24h",
        datetime(2026, 3, 2, 12, 8, tzinfo=UTC),
        "completed",
        at(8),
        at(9),
        at(10),
        at(11),
        output_file_id="file-2",
        errors=({"code": "bad_line", "line": 3},),
        total=3,
        completed=2,
        failed=1,
        notes={"job": "nightly"},
        routing={"tradeoff": 1.0},
    ),
    BatchRecord(
        "batch_2",
        CHAT,
        "file-1",
        "1h",
        datetime(2026, 3, 1, 13, 12, tzinfo=UTC),
        created_at=at(12),
    ),
)


@pytest.fixture
async def upgraded(tmp_path: Path) -> AsyncIterator[Database]:
    """That database, migrated by the present code."""
    path = tmp_path / "collegium.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.executescript(LEFT)
    connection.close()
    database = Database(f"sqlite+aiosqlite:///{path}")
    await database.migrate()
    yield database
    await database.close()


def test_every_table_has_rows() -> None:
    """A table that later versions add needs a newer file beside this one."""
    filled = set(re.findall(r'^INSERT INTO "(\w+)"', LEFT, re.MULTILINE))
    assert filled == {*re.findall(r"^CREATE TABLE (\w+)", LEFT, re.MULTILINE)}
    assert filled <= {*Table.metadata.tables, "alembic_version"}


async def test_experts_are_read_back(upgraded: Database) -> None:
    """Every field; and what was seeded once is not seeded again."""
    registry = ExpertRegistry(upgraded)
    assert await registry.list() == (GPT, POET, GENERALIST, SQL)
    assert await registry.revision() == 5
    assert not await registry.seed("embedded", [GENERALIST])


async def test_engines_are_read_back(upgraded: Database) -> None:
    """Every field, and those that the first versions did not have."""
    assert await EngineRegistry(upgraded).list() == ENGINES


async def test_decisions_are_read_back(upgraded: Database) -> None:
    """With their outcomes and what people thought of them."""
    log = DecisionLog(upgraded)
    assert await log.recent() == (FAILED, ANSWERED)
    assert await log.outcomes() == (ANSWERED,)  # the other kept no prompt


async def test_files_are_read_back(upgraded: Database) -> None:
    """Also sizes beyond 32 bits."""
    page = await FileRegistry(upgraded).list(order="asc")
    assert tuple(page.items) == FILES


async def test_batches_are_read_back(upgraded: Database) -> None:
    """The unfinished one is still to be done."""
    registry = BatchRegistry(upgraded)
    assert tuple((await registry.list()).items) == BATCHES[::-1]
    assert await registry.unfinished() == BATCHES[1:]


async def test_an_upgraded_database_is_written_to(upgraded: Database) -> None:
    """What is registered, decided and changed now lies beside what was there."""
    await ExpertRegistry(upgraded).update("gpt", enabled=True)
    await EngineRegistry(upgraded).register(Engine(name="new", model_path="/models/new"))
    await DecisionLog(upgraded).feedback(FeedbackRecord("fb_3", "dec_2", "failed"))
    assert (await ExpertRegistry(upgraded).get("gpt")).version == 3
    assert [e.name for e in await EngineRegistry(upgraded).list()] == ["new", "olmoe", "poet"]
    assert len((await DecisionLog(upgraded).get("dec_2")).feedback) == 1


async def test_remote_experts_without_a_stated_price_become_unknown(tmp_path: Path) -> None:
    """Nobody had to state one before 0011; what runs here stays free, what was stated stays."""
    path = tmp_path / "collegium.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.executescript(LEFT)
        connection.execute("UPDATE experts SET input_price = 0, output_price = 0")
    connection.close()
    database = Database(f"sqlite+aiosqlite:///{path}")
    await database.migrate()
    found = {e.name: (e.input_price, e.output_price) for e in await ExpertRegistry(database).list()}
    await database.close()
    assert found.pop("gpt") == (None, None)
    assert set(found.values()) == {(0.0, 0.0)}
