"""A database server that is away, refuses us, or freezes, told without its password."""

from __future__ import annotations

import asyncio

import psutil
import pytest
from sqlalchemy import text

from collegium.errors import DatabaseUnavailable, SetupError
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage import connections
from collegium.registry.storage.database import Database
from tests.servers import PASSWORD, PostgresServer, free_port, postgres_server


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    """Nobody listens there: the message has the address and hides the password."""
    port = free_port()
    database = Database(f"postgresql+asyncpg://me:{PASSWORD}@127.0.0.1:{port}/db?ssl=disable")

    with pytest.raises(SetupError) as caught:
        await database.migrate()

    assert f"can't reach the database postgresql+asyncpg://me:***@127.0.0.1:{port}/db" in str(
        caught.value
    )
    assert PASSWORD not in str(caught.value)


async def test_a_host_that_does_not_exist_is_a_setup_error() -> None:
    """A name that no server resolves."""
    with pytest.raises(SetupError, match=r"can't reach the database .*@nowhere\.invalid"):
        await Database(f"postgresql://me:{PASSWORD}@nowhere.invalid/db").migrate()


@pytest.mark.slow
async def test_a_wrong_password_is_a_setup_error_that_hides_it(postgres: PostgresServer) -> None:
    """The server refuses; its reason is given, what was tried is not."""
    database = Database(postgres.url(password="tried-in-vain"))

    with pytest.raises(SetupError, match="password authentication failed") as caught:
        await database.migrate()

    assert "tried-in-vain" not in str(caught.value)


@pytest.mark.slow
async def test_a_database_that_does_not_exist_is_a_setup_error(postgres: PostgresServer) -> None:
    """The server is there, the database is not."""
    with pytest.raises(SetupError, match='database "absent" does not exist'):
        await Database(postgres.url("absent")).migrate()


@pytest.mark.slow
async def test_a_server_that_freezes_is_away_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes statements and answers none; nobody waits for it longer than a command may take."""
    with postgres_server() as server:
        database = Database(server.empty_database())
        await database.migrate()
        await database.close()
        monkeypatch.setattr(connections, "COMMAND_TIMEOUT_S", 2.0)
        database = Database(server.url("tests"))
        assert await ExpertRegistry(database).list() == ()
        postmaster = psutil.Process(server.process.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            process.suspend()
        try:
            async with asyncio.timeout(60):
                with pytest.raises(DatabaseUnavailable, match="no answer in time"):
                    await ExpertRegistry(database).list()
        finally:
            for process in family:
                process.resume()
        assert await ExpertRegistry(database).list() == ()
        await database.close()


@pytest.mark.slow
async def test_connections_that_the_server_cut_are_replaced(postgres: PostgresServer) -> None:
    """After a server's restart the next request works as if nothing had happened."""
    url = postgres.empty_database()
    database, other = Database(url), Database(url)
    await database.migrate()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    async with other.session() as session:
        cut_off = await session.scalars(text(f"{cut} AND datname = current_database()"))
        assert set(cut_off) == {True}

    assert await ExpertRegistry(database).revision() == 0
    await database.close()
    await other.close()
