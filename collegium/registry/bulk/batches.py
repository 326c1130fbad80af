"""Bulk jobs: their parameters, their progress, and the ids of their result files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, insert, or_, select, update

from collegium.errors import UnknownBatch
from collegium.registry.bulk.files import FileRecord
from collegium.registry.clock import utc_now
from collegium.registry.storage.database import Database
from collegium.registry.storage.pages import Page, Scope, owned, page_of, within
from collegium.registry.tables import (
    ENDED,
    BatchRecordRow,
    BatchRow,
    FileRow,
    from_row,
    to_columns,
)

BatchStatus = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
LEASE = timedelta(seconds=15)
"""Another replica takes over a job if its worker has not renewed the lease for this long."""


def leased_until() -> datetime:
    """Return the end of a lease that begins or is renewed now."""
    return utc_now() + LEASE


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One bulk job; `notes` is the caller's metadata, `routing` applies to the whole job."""

    id: str
    endpoint: str
    input_file_id: str
    completion_window: str
    expires_at: datetime
    status: BatchStatus = "validating"
    created_at: datetime = field(default_factory=utc_now)
    in_progress_at: datetime | None = None
    finalizing_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    expired_at: datetime | None = None
    cancelling_at: datetime | None = None
    cancelled_at: datetime | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: Sequence[Mapping[str, Any]] = ()
    total: int = 0
    completed: int = 0
    failed: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)
    routing: Mapping[str, Any] = field(default_factory=dict)
    money: Mapping[str, float | None] | None = None
    """Dollars spent, reserved, forecast for the rest, and the budget; None before the job has
    started.
    """
    owner: str = ""
    """The name of the caller's key; empty for the operator's."""
    worker: str | None = None
    """The worker that holds the job's lease, until `leased_until`."""
    leased_until: datetime | None = None

    def is_leased(self, now: datetime) -> bool:
        """Whether some worker holds the job."""
        return self.leased_until is not None and self.leased_until >= now


class BatchRegistry:
    """The bulk jobs, and their changes of status, which are never reversed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: BatchRecord) -> None:
        """Write a new job; once this returns, the job survives a crash of the process."""
        await self._database.write(insert(BatchRow), to_columns(record))

    async def get(self, batch_id: str, scope: Scope = None) -> BatchRecord:
        """Return one job; raise UnknownBatch if there is none within the scope."""
        async with self._database.session() as session:
            row = await session.get(BatchRow, batch_id)
        if row is None or not within(scope, row.owner):
            raise UnknownBatch(f"no batch has the id '{batch_id}'", "batch_id")
        return from_row(BatchRecord, row)

    async def list(
        self, *, scope: Scope = None, after: str | None = None, limit: int = 20
    ) -> Page[BatchRecord]:
        """Return one page of the jobs, newest first."""
        cursor = None if after is None else await self.get(after, scope)
        statement = select(BatchRow).where(owned(BatchRow.owner, scope))
        rows = await page_of(self._database, statement, BatchRow, cursor, limit, "desc")
        return rows.map(lambda row: from_row(BatchRecord, row))

    async def unfinished(self) -> tuple[BatchRecord, ...]:
        """Return the unfinished jobs, oldest first."""
        open_ones = select(BatchRow).where(BatchRow.status.not_in(ENDED))
        oldest = BatchRow.created_at, BatchRow.id
        async with self._database.session() as session:
            rows = await session.scalars(open_ones.order_by(*oldest))
            return tuple(from_row(BatchRecord, row) for row in rows)

    async def forget_ended(self, before: datetime) -> int:
        """Delete the jobs that have ended and were created before a time; return how many."""
        old = BatchRow.status.in_(ENDED) & (BatchRow.created_at < before)
        async with self._database.transaction() as session:
            done: Any = await session.execute(delete(BatchRow).where(old))
            return int(done.rowcount)

    async def claim(self, batch_id: str, worker: str) -> bool:
        """Take an unfinished job that no live worker holds; return whether this succeeded."""
        lapsed = or_(BatchRow.leased_until.is_(None), BatchRow.leased_until < utc_now())
        free = (BatchRow.id == batch_id) & BatchRow.status.not_in(ENDED) & lapsed
        return await self._change(free, worker=worker, leased_until=leased_until())

    async def renew(self, worker: str, batch_ids: Collection[str]) -> None:
        """Extend the worker's leases on these jobs."""
        held = (BatchRow.worker == worker) & BatchRow.id.in_(batch_ids)
        await self._change(held, leased_until=leased_until())

    async def release(self, worker: str, batch_id: str) -> None:
        """Release a job that the worker holds, so that others can take it over immediately."""
        held = (BatchRow.worker == worker) & (BatchRow.id == batch_id)
        await self._change(held, worker=None, leased_until=None)

    async def become(
        self,
        batch_id: str,
        status: BatchStatus,
        *,
        out_of: Sequence[str],
        worker: str | None = None,
        files: Sequence[FileRecord] = (),
        **changes: Any,
    ) -> bool:
        """Change the status if it is one of `out_of`; return whether it was.

        With a `worker`, the status is changed only if that worker holds the job. The time of the
        change is stored in the column of the new status. When a job ends, it gets its files and its
        journal is deleted.
        """
        changes = {"status": status, f"{status}_at": utc_now()} | changes
        here = (BatchRow.id == batch_id) & BatchRow.status.in_(out_of)
        if worker is not None:
            here &= BatchRow.worker == worker
        async with self._database.transaction() as session:
            done: Any = await session.execute(update(BatchRow).where(here).values(**changes))
            if done.rowcount and status in ENDED:
                for file in files:
                    await session.execute(insert(FileRow), to_columns(file))
                journal = BatchRecordRow.batch_id == batch_id
                await session.execute(delete(BatchRecordRow).where(journal))
            return bool(done.rowcount)

    async def count(
        self,
        batch_id: str,
        worker: str,
        *,
        total: int,
        completed: int,
        failed: int,
        money: Mapping[str, float | None] | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Store a job's progress, its spending and why it waits, if the worker holds the job."""
        counts: dict[str, Any] = {"total": total, "completed": completed, "failed": failed}
        counts["errors"] = list(errors)
        if money is not None:
            counts["money"] = dict(money)
        await self._change((BatchRow.id == batch_id) & (BatchRow.worker == worker), **counts)

    async def _change(self, where: ColumnElement[bool], **values: Any) -> bool:
        async with self._database.transaction() as session:
            done: Any = await session.execute(update(BatchRow).where(where).values(**values))
            return bool(done.rowcount)
