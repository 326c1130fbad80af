"""A real HTTP server, and a registry in a file, for the tests of experts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from collegium.registry.database import Database
from collegium.registry.experts import ExpertRegistry
from tests.unit.experts.api_server import ApiServer, api_server


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
