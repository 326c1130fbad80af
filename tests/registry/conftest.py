"""Every registry test runs on SQLite and on a real PostgreSQL, every state test also on Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collegium.registry.decisions.log import DecisionLog, DecisionRecord
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage import connections
from collegium.registry.storage.database import Database
from tests.servers import PostgresServer, RedisServer, postgres_server, redis_server

OpenDatabase = Callable[[], Database]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """One Redis for all tests."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of the test's own."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'data' / 'collegium.sqlite3'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.empty_database()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine that gives PostgreSQL no time for half a minute fails no test of ours."""
    monkeypatch.setattr(connections, "COMMAND_TIMEOUT_S", 300.0)


@pytest.fixture
async def open_database(url: str) -> AsyncIterator[OpenDatabase]:
    """Open the test's database once more, as another process would."""
    async with AsyncExitStack() as stack:

        def open_one() -> Database:
            database = Database(url)
            stack.push_async_callback(database.close)
            return database

        yield open_one


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """The test's database with its tables."""
    database = open_database()
    await database.migrate()
    return database


@pytest.fixture
def experts(database: Database) -> ExpertRegistry:
    """The registry of experts."""
    return ExpertRegistry(database)


@pytest.fixture
def engines(database: Database) -> EngineRegistry:
    """The registry of engines."""
    return EngineRegistry(database)


@pytest.fixture
def log(database: Database) -> DecisionLog:
    """The log of decisions."""
    return DecisionLog(database)


@pytest.fixture
def sql_expert() -> Expert:
    """An expert with every field set."""
    return Expert(
        name="sql",
        kind="lora",
        model="sql",
        engine="embedded",
        base_url="http://127.0.0.1:8001/v1",
        adapter="builtin:sql",
        api_key_env="SQL_KEY",
        description="Writes SQL; schönes noch dazu",
        skills={"sql": 0.97, "general": 0.02},
        input_price=0.1,
        output_price=0.4,
        context_window=4096,
        generalist=True,
        enabled=False,
        tags=("eu", "no-phi"),
        prior=0.7,
        parameters_b=0.135,
    )


@pytest.fixture
def make_decision() -> Callable[..., DecisionRecord]:
    """Make a decision of which a test names only what matters to it."""

    def make(decision_id: str = "dec_1", **fields: Any) -> DecisionRecord:
        usual: dict[str, Any] = {
            "created_at": datetime.now(UTC),
            "requested_model": "auto",
            "expert": "sql",
            "policy": "quality",
            "confidence": 0.93,
            "reason": "asks for SQL",
            "prompt": "Count the users",
        }
        return DecisionRecord(id=decision_id, **(usual | fields))

    return make
