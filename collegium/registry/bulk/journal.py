"""The journal of a bulk job, written record by record by the worker that holds its lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select, update

from collegium.errors import DatabaseUnavailable, LeaseLost
from collegium.registry.bulk.batches import leased_until
from collegium.registry.storage.database import Database
from collegium.registry.storage.group_commit import settle
from collegium.registry.tables import BatchRecordRow, BatchRow

Kind = Literal["plan", "output", "errors", "ledger"]
AT_ONCE = 200
"""Number of records that are read together."""
PATIENCE_S, RETRY_S = 10.0, 0.5
"""How long the database may be unavailable before the job gives up unwritten answers."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    columns: dict[str, Any]
    written: asyncio.Future[None]


class BatchJournal:
    """Append records; each `append` returns when its record is committed.

    The same transaction renews the job's lease, so a worker that has lost the lease writes
    nothing more (LeaseLost). Records that arrive during a commit share the next one.
    """

    def __init__(self, database: Database, batch_id: str, worker: str) -> None:
        self._database = database
        self._batch_id = batch_id
        self._worker = worker
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def records(self, kind: Kind) -> AsyncIterator[bytes]:
        """Yield the records of a kind, in the order in which they were written."""
        last = 0
        mine = (BatchRecordRow.batch_id == self._batch_id) & (BatchRecordRow.kind == kind)
        columns = select(BatchRecordRow.id, BatchRecordRow.data)
        while True:
            page = columns.where(mine, BatchRecordRow.id > last).order_by(BatchRecordRow.id)
            async with self._database.session() as session:
                rows = (await session.execute(page.limit(AT_ONCE))).all()
            for last, data in rows:  # noqa: B007  the next page begins after it
                yield data
            if len(rows) < AT_ONCE:
                return

    async def append(self, kind: Kind, data: bytes, *, line: int | None = None) -> None:
        """Write one record; `line` is the input line that it finishes, which happens once."""
        columns = {"batch_id": self._batch_id, "kind": kind, "line": line, "data": data}
        row = _Waiting(columns, asyncio.get_running_loop().create_future())
        self._waiting.append(row)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name=f"journal {self._batch_id}")
        await asyncio.shield(row.written)

    async def close(self) -> None:
        """Finish pending writes."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        try:
            while self._waiting:
                rows, self._waiting = self._waiting, []
                try:
                    await self._commit([row.columns for row in rows])
                except Exception as exc:  # noqa: BLE001  whatever it is, each writer hears of it
                    settle((row.written for row in rows), exc)
                else:
                    settle(row.written for row in rows)
        finally:
            self._writing = None

    async def _commit(self, rows: list[dict[str, Any]]) -> None:
        """Write the rows, retrying through short failures of the database; a repeated write is
        harmless."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                return await self._insert(rows)
            except DatabaseUnavailable:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(RETRY_S)

    async def _insert(self, rows: list[dict[str, Any]]) -> None:
        held = (BatchRow.id == self._batch_id) & (BatchRow.worker == self._worker)
        renewed = update(BatchRow).where(held).values(leased_until=leased_until())
        new = self._database.insert(BatchRecordRow).on_conflict_do_nothing()
        async with self._database.transaction() as session:
            done: Any = await session.execute(renewed)
            if not done.rowcount:
                raise LeaseLost(f"another replica works on {self._batch_id}")
            await session.execute(new, rows)
