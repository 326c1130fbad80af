"""A real HTTP server, a registry in a file and an empty pool, for the tests of experts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from collegium.errors import ProbeFailed, RegistryError
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from tests.experts.api_server import ApiServer, api_server


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """An OpenAI-compatible server that serves one model, `tiny`."""
    with api_server() as server:
        yield server


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[ExpertRegistry]:
    """An empty registry."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'registry.sqlite3'}")
    await database.migrate()
    yield ExpertRegistry(database)
    await database.close()


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """A pool that runs no engine."""
    pool = Pool({}, timeout_s=10.0)
    yield pool
    await pool.aclose()


@pytest.fixture
def registration(registry: ExpertRegistry, pool: Pool) -> Registration:
    """Registers in an empty registry."""
    return Registration(registry, pool)


async def refused(
    registration: Registration,
    registry: ExpertRegistry,
    expert: Expert,
    error: type[RegistryError] = ProbeFailed,
) -> str:
    """Register what has to be refused; return why it was. The registry must not change."""
    before, revision = await registry.list(), await registry.revision()
    with pytest.raises(error) as info:
        await registration.register(expert)
    assert info.type is error
    assert (await registry.list(), await registry.revision()) == (before, revision)
    return str(info.value)
