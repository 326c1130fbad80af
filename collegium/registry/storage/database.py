"""One database: SQLite in a file by default, PostgreSQL by URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, Executable, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from collegium.errors import SetupError
from collegium.registry.storage.connections import (
    BUSY_TIMEOUT_S,
    database_errors,
    in_file,
    make_file,
    open_engine,
    parse_url,
    printable,
)
from collegium.registry.storage.sqlite import Glance, InlineWriter, Rows
from collegium.registry.tables import Table

_MIGRATION_LOCK = int.from_bytes(b"colleg", "big")
"""The number of the PostgreSQL lock that one migrating process holds."""


class Database:
    """One connection pool: call `migrate()` first, then use sessions, and `close()` last."""

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self.where = printable(self._url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = open_engine(self._url)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        in_a_file = self.is_sqlite and in_file(self._url)
        file = self._url.database or ""
        self._glance = Glance(file) if in_a_file else None
        self._inline = InlineWriter(file, self._engine.dialect) if in_a_file else None
        # SQLite has one writer at a time and lets the others poll; a queue is fair, and faster.
        self._turn: AbstractAsyncContextManager[object] = (
            asyncio.Lock() if self.is_sqlite else nullcontext()
        )

    async def migrate(self) -> None:
        """Bring the tables to this version's shape; of several processes one does the work."""
        with database_errors(self.where):
            if self.is_sqlite and in_file(self._url):
                make_file(self._url)
                await self._use_write_ahead_log()
            async with self._turn, self._engine.begin() as connection:
                await connection.exec_driver_sql(
                    "BEGIN IMMEDIATE"
                    if self.is_sqlite
                    else f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"
                )
                await connection.run_sync(_upgrade, self.where)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Read."""
        with database_errors(self.where):
            async with self._sessions() as session:
                yield session

    async def number(self, query: str) -> int:
        """Read one number, 0 if there is no row; fast enough to be called on every request."""
        if self._glance is not None and (found := self._glance.number(query)) is not None:
            return found
        with database_errors(self.where):
            async with self._engine.connect() as connection:
                return int(await connection.scalar(text(query)) or 0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Write: everything inside is committed together at the end, or nothing is.

        Its first statement has to be a write: SQLite begins the transaction there.
        """
        with database_errors(self.where):
            async with self._turn, self._sessions() as session, session.begin():
                yield session

    async def write(self, statement: Executable, columns: dict[str, Any]) -> None:
        """Write one row in a transaction of its own: half the time that a session takes."""
        await self._write_through([(statement, [columns])])

    async def write_all(self, rows: Sequence[Rows]) -> None:
        """Write the rows of several statements in one transaction: all of them, or none.

        For statements that are used again and again: SQLite's writer keeps them.
        """
        if self._inline is None or not self._inline.wrote(rows):
            await self._write_through(rows)

    async def _write_through(self, rows: Iterable[Rows]) -> None:
        with database_errors(self.where):
            async with self._turn, self._engine.begin() as connection:
                for statement, columns in rows:
                    await connection.execute(statement, columns)

    @property
    def detours(self) -> int:
        """The number of transactions that SQLite's fast path left to the driver."""
        return 0 if self._inline is None else self._inline.detours

    def insert(self, table: type[Table]) -> postgresql.Insert | sqlite.Insert:
        """Begin an insert with an ON CONFLICT clause, which standard SQL lacks."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def upsert(self, table: type[Table]) -> postgresql.Insert | sqlite.Insert:
        """Say how to insert a row, or write it over the one with its key."""
        insert = self.insert(table)
        columns = {column.name: insert.excluded[column.name] for column in table.__table__.columns}
        key = list(table.__table__.primary_key)
        return insert.on_conflict_do_update(index_elements=key, set_=columns)

    async def close(self) -> None:
        """Close the connections; a closed database opens new ones when it is used again."""
        if self._glance is not None:
            self._glance.close()
        if self._inline is not None:
            await self._inline.aclose()
        await self._engine.dispose()

    async def _use_write_ahead_log(self) -> None:
        """Readers then never wait for a writer. SQLite keeps the switch in the file.

        Two processes that switch at once are refused at once: this lock alone ignores the timeout.
        """
        patience = asyncio.get_running_loop().time() + BUSY_TIMEOUT_S
        while True:
            try:
                async with self._engine.connect() as connection:
                    await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                return
            except OperationalError as exc:
                if "locked" not in str(exc.orig) or asyncio.get_running_loop().time() > patience:
                    raise
                await asyncio.sleep(0.02)


def _upgrade(connection: Connection, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "collegium.registry:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise SetupError(
            f"the database {where} was made by a newer Collegium, or by something else: {exc}"
        ) from exc
