"""Read and write an SQLite file in the event loop's own thread.

The driver works in a thread. A read through it takes 0.7 ms, nearly all of it changes of thread;
here about 0.01 ms. A transaction takes half a dozen changes, and under load each waits for the
interpreter's lock, up to 5 ms; here about 0.04 ms. Neither waits for anything: with a write-ahead
log readers and writers don't hinder each other, and with `synchronous = NORMAL` a commit only hands
its pages to the operating system. What would have to wait is somebody else's: where another writer
is at work, or anything is wrong, the caller goes through the driver, which waits, or says what is
wrong. And the log is copied into the file by a thread of its own, for only that waits for the disk
(sqlite.org, "Write-Ahead Logging").
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Dialect, Executable
from sqlalchemy.sql.elements import ClauseElement

log = logging.getLogger(__name__)
_WRITING = "synchronous = NORMAL", "foreign_keys = ON", "wal_autocheckpoint = 0"
Rows = tuple[Executable, Sequence[dict[str, Any]]]
CHECKPOINT_EVERY = 500
"""Transactions between two copies of the log into the file: about 10 MB of log."""


class Glance:
    """One connection that reads single numbers, opened when it is first used."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def number(self, query: str) -> int | None:
        """Return the first column of the first row; None if it can't be read without waiting."""
        try:
            if self._connection is None:
                self._connection = _opened(self._file, "query_only = ON")
            row = self._connection.execute(query).fetchone()
        except sqlite3.Error:  # the slow way says what is wrong, in our words
            return None
        return None if row is None else int(row[0])

    def close(self) -> None:
        """Let go of the file; a closed one opens it again when it is used again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class InlineWriter:
    """One connection that only inserts, opened when it is first used."""

    def __init__(self, file: str, dialect: Dialect) -> None:
        self._file = file
        self._dialect = dialect
        self._connection: sqlite3.Connection | None = None
        self._inserts: dict[Executable, _Insert] = {}
        self.detours = 0
        """Transactions that it left to the driver."""
        self._told: set[type[Exception]] = set()
        self._since_checkpoint = 0
        self._checkpoint: asyncio.Task[None] | None = None

    def wrote(self, rows: Iterable[Rows]) -> bool:
        """Commit all rows in one transaction; return False if that can't be done without waiting.

        Then nothing was written. A statement is kept, with how to bind its columns: use few.
        """
        try:
            bound = [(s, self._insert(s, columns[0]), columns) for s, columns in rows if columns]
            if self._connection is None:
                self._connection = _opened(self._file, *_WRITING)
            with self._connection as connection:
                connection.execute("BEGIN IMMEDIATE")
                for _, insert, columns in bound:
                    connection.executemany(insert.sql, map(insert.bind, columns))
        except Exception as exc:  # noqa: BLE001  bad values raise what they like; the driver tells
            self._leave(exc)
            return False
        self._copy_now_and_then()
        return True

    async def aclose(self) -> None:
        """Let go of the file; a closed one opens it again when it is used again."""
        if self._checkpoint is not None:
            await self._checkpoint
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _leave(self, reason: Exception) -> None:
        """Count it, and warn once a kind: a quick way that is blocked for good costs speed alone.

        A writer elsewhere is no news; rows that break a constraint are told to their caller.
        """
        self.detours += 1
        busy = getattr(reason, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        if busy or isinstance(reason, sqlite3.IntegrityError) or type(reason) in self._told:
            return
        self._told.add(type(reason))
        kind = type(reason).__name__
        log.warning("rows are written the slow way, by the driver: %s: %s", kind, reason)

    def _insert(self, statement: Executable, columns: dict[str, Any]) -> _Insert:
        found = self._inserts.get(statement)
        if found is None:
            found = self._inserts[statement] = _Insert(statement, columns, self._dialect)
        return found

    def _copy_now_and_then(self) -> None:
        self._since_checkpoint += 1
        idle = self._checkpoint is None or self._checkpoint.done()
        if self._since_checkpoint >= CHECKPOINT_EVERY and idle:
            self._since_checkpoint = 0
            self._checkpoint = asyncio.create_task(asyncio.to_thread(_copy, self._file))


class _Insert:
    """A statement as SQLite takes it, and how each of its values is bound."""

    def __init__(self, statement: Executable, columns: dict[str, Any], dialect: Dialect) -> None:
        assert isinstance(statement, ClauseElement)
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(columns))
        self.sql = str(compiled)
        self._binders: list[tuple[str, Callable[[Any], Any] | None]] = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup
        ]

    def bind(self, columns: dict[str, Any]) -> list[Any]:
        return [columns[n] if to is None else to(columns[n]) for n, to in self._binders]


def _opened(file: str, *pragmas: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=0, check_same_thread=False, isolation_level=None)
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _copy(file: str) -> None:
    """Copy the log into the file, most of it beside the writers; then begin the log anew.

    While the rest is copied, a writer finds the file locked, and waits in the driver's thread.
    """
    connection = sqlite3.connect(file, timeout=0.1, isolation_level=None)
    try:
        for mode in ("PASSIVE", "TRUNCATE"):
            connection.execute(f"PRAGMA wal_checkpoint({mode})")
    except sqlite3.Error as exc:  # the log only grows until the next time
        log.warning("the database's log is not copied now: %s", exc)
    finally:
        connection.close()
