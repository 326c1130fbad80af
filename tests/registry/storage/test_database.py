"""Opening, migrating and not reaching a database."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from collegium.errors import SettingsError, SetupError
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from collegium.registry.tables import Table
from tests.registry.conftest import OpenDatabase

ROOT = Path(__file__).parents[3]
MIGRATE_WHEN_TOLD = """
import asyncio, sys
from alembic import command
from collegium.registry.storage.database import Database

async def main() -> None:
    database = Database(sys.argv[1])
    await database.migrate()
    await database.close()

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main())
"""


async def test_migrations_and_tables_describe_the_same_database(database: Database) -> None:
    """What the migrations made is what the ORM expects, column by column."""

    def default_differs(*compared: Any) -> bool | None:
        _, _, _, _, expected, _ = compared
        # A default that is not expected was for the rows that a migration found: every write names
        # all columns. None compares the others as usual.
        return False if expected is None else None

    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": default_differs}
        return list(
            compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata)
        )

    async with database.session() as session:
        assert await (await session.connection()).run_sync(differences) == []


async def test_every_migration_can_be_undone(database: Database) -> None:
    """Downgrading to nothing leaves only Alembic's own table, and upgrading works again."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import inspect

    def downgrade(connection: Connection) -> list[str]:
        config = Config()
        config.set_main_option("script_location", "collegium.registry:migrations")
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        return inspect(connection).get_table_names()

    async with database.transaction() as session:
        assert await (await session.connection()).run_sync(downgrade) == ["alembic_version"]
    await database.migrate()
    assert await ExpertRegistry(database).revision() == 0


async def test_migrating_again_changes_nothing(database: Database) -> None:
    """A second migration keeps what was written since the first."""
    async with database.transaction() as session:
        await session.execute(text("UPDATE registry_revision SET number = 7"))

    await database.migrate()

    assert await ExpertRegistry(database).revision() == 7


async def test_two_databases_of_one_process_migrate_at_once(open_database: OpenDatabase) -> None:
    """One of them makes the tables, the other finds them made."""
    first, second = open_database(), open_database()

    await asyncio.gather(first.migrate(), second.migrate())

    assert await ExpertRegistry(second).revision() == 0


@pytest.mark.slow
async def test_three_processes_migrate_at_once(url: str, open_database: OpenDatabase) -> None:
    """All succeed, on a database that did not exist when they began."""
    command = [sys.executable, "-W", "error", "-c", MIGRATE_WHEN_TOLD, url]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()

    complaints = [process.communicate(timeout=60)[1] for process in processes]

    assert complaints == ["", "", ""]
    assert await ExpertRegistry(open_database()).revision() == 0


async def test_a_newer_database_is_refused_in_plain_words(database: Database) -> None:
    """A service that was downgraded does not touch tables it can't know."""
    async with database.transaction() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SetupError, match="newer Collegium"):
        await database.migrate()


async def test_sqlite_keeps_its_folder_and_files_for_the_owner_alone(tmp_path: Path) -> None:
    """Queries are private."""
    database = Database(f"sqlite:///{tmp_path}/a/b/registry.sqlite3")

    await database.migrate()

    folder = tmp_path / "a" / "b"
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes == dict.fromkeys(modes, "0o600")
    assert {"registry.sqlite3", "registry.sqlite3-wal"} <= set(modes)
    await database.close()


async def test_sqlite_is_set_up_for_many_readers_and_one_writer(tmp_path: Path) -> None:
    """Write-ahead log, no flush per commit, patience with writers, foreign keys."""
    database = Database(f"sqlite:///{tmp_path}/registry.sqlite3")
    await database.migrate()

    async with database.session() as session:
        values = {
            name: await session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    await database.close()

    assert values == {
        "journal_mode": "wal",
        "synchronous": 1,
        "busy_timeout": 10_000,
        "foreign_keys": 1,
    }


async def test_an_in_memory_database_serves_parallel_tasks() -> None:
    """It lives in one connection, which the tasks take in turn."""
    database = Database("sqlite://")
    await database.migrate()
    registry = ExpertRegistry(database)

    assert await asyncio.gather(*(registry.revision() for _ in range(20))) == [0] * 20
    await database.close()


async def test_a_file_that_is_no_database_is_a_setup_error(tmp_path: Path) -> None:
    """The message names the file and says what is wrong with it."""
    path = tmp_path / "notes.txt"
    path.write_text("This is a shopping list. " * 100)
    database = Database(f"sqlite:///{path}")

    with pytest.raises(SetupError, match=r"notes\.txt: file is not a database"):
        await database.migrate()
    await database.close()


async def test_a_folder_that_cannot_be_made_is_a_setup_error(tmp_path: Path) -> None:
    """Something that is no folder stands where the folder should be."""
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path}/file/registry.sqlite3")

    with pytest.raises(SetupError, match="can't reach the database sqlite"):
        await database.migrate()


async def test_a_folder_in_the_files_place_is_a_setup_error(tmp_path: Path) -> None:
    """A URL that ends too early."""
    with pytest.raises(SetupError, match="not a writable file"):
        await Database(f"sqlite:///{tmp_path}").migrate()


async def test_an_unmigrated_database_is_a_setup_error(
    open_database: OpenDatabase, tmp_path: Path
) -> None:
    """Using tables before `migrate()` made them names the missing table."""
    (tmp_path / "data").mkdir()  # where the SQLite file would be

    with pytest.raises(SetupError, match=r"can't use the database .*registry_revision"):
        await ExpertRegistry(open_database()).revision()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "is not a URL"),
        ("mysql://me:pw@host/db", "begins with 'mysql'"),
        ("postgresql+psycopg://me:pw@host/db", r"supported: postgresql\+asyncpg and sqlite"),
        ("postgresql://me:half@other@host/db", "as %40"),
        ("sqlite:///file:pw.sqlite3?uri=true", "write the file's path"),
    ],
)
def test_a_wrong_url_is_a_settings_error_that_does_not_repeat_it(url: str, message: str) -> None:
    """It may hold a password, so only its beginning is shown."""
    with pytest.raises(SettingsError, match=message) as caught:
        Database(url)

    assert not any(secret in str(caught.value) for secret in ("pw", "half", "other"))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_the_driver_of_postgresql_is_filled_in(scheme: str) -> None:
    """Hosting services hand out URLs without one."""
    assert Database(f"{scheme}://host/db").where == "postgresql+asyncpg://host/db"
