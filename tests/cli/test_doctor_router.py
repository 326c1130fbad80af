"""Which router `collegium doctor` names."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from collegium.cli import doctor_command
from collegium.registry.learning.router_versions import RouterVersion, RouterVersions
from collegium.registry.storage.database import Database
from collegium.settings import load_settings


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path))


async def promoted(version: str) -> None:
    """A version that serves, and one that does not."""
    database = Database(load_settings().registry_url)
    await database.migrate()
    versions = RouterVersions(database)
    for name in (version, "rtr_other"):
        await versions.add(RouterVersion(name, "anna"), b"{}", b"")
    await versions.become(version, "serving")
    await versions.become("rtr_other", "shadow")
    await database.close()


def test_the_packages_router_serves_where_none_was_promoted() -> None:
    """With its date."""
    found = doctor_command._router()
    assert found.ok
    assert found.found.endswith(", from the package")


def test_the_version_that_serves_is_named() -> None:
    """The package's is what a rollback leads to."""
    asyncio.run(promoted("rtr_9c2e"))
    found = doctor_command._router()
    assert found.ok
    assert found.found.startswith("rtr_9c2e serves; after a rollback that of the package: ")


def test_a_registry_that_is_broken_is_another_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told to train a router for it."""
    monkeypatch.setenv("COLLEGIUM_DATABASE_URL", "postgresql+asyncpg://127.0.0.1:9/none")
    found = doctor_command._router()
    assert found.ok
    assert found.found.endswith(", from the package")
