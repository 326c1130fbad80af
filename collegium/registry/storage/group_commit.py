"""Group commit: rows that wait at the same time are written in one transaction.

(DeWitt et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.) A
transaction takes SQLite's driver half a dozen changes of thread, however many rows it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable

from collegium.errors import DatabaseUnavailable
from collegium.registry.storage.database import Database
from collegium.registry.storage.sqlite import Rows


@dataclass(frozen=True, slots=True)
class _Row:
    statement: Executable
    columns: dict[str, Any]
    written: asyncio.Future[None]


class GroupCommit:
    """Nothing waits to form a group: while one transaction is written, the rows of the next one
    collect.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Row] = []
        self._worker: asyncio.Task[None] | None = None

    async def write(self, statement: Executable, columns: dict[str, Any]) -> None:
        """Write one row; when this returns it is committed. Rows of one statement share it.

        Raises what `Database.write` raises. Whoever is cancelled may find the row there or not.
        """
        row = _Row(statement, columns, asyncio.get_running_loop().create_future())
        self._waiting.append(row)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        await row.written

    async def _work(self) -> None:
        while self._waiting:
            rows = [row for row in self._waiting if not row.written.done()]
            self._waiting = []
            try:
                await self._commit(rows)
            finally:  # nobody waits for ever, whatever happened
                for row in rows:
                    row.written.cancel()

    async def _commit(self, rows: Sequence[_Row]) -> None:
        try:
            await self._database.write_all(_by_statement(rows))
        except DatabaseUnavailable as exc:
            settle((row.written for row in rows), exc)
        except Exception as exc:  # noqa: BLE001  drivers raise what they like for odd values
            if len(rows) == 1:
                return settle([rows[0].written], exc)
            for row in rows:  # one is refused: the others shall not suffer from it
                await self._commit([row])
        else:
            settle(row.written for row in rows)


def _by_statement(rows: Sequence[_Row]) -> list[Rows]:
    found: dict[int, tuple[Executable, list[dict[str, Any]]]] = {}
    for row in rows:
        found.setdefault(id(row.statement), (row.statement, []))[1].append(row.columns)
    return list(found.values())


def settle(waiting: Iterable[asyncio.Future[None]], error: Exception | None = None) -> None:
    """Tell those who wait for a commit that it succeeded, or why it did not."""
    for written in waiting:
        if written.done():  # who waited has left
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
