"""Bulk jobs: what was asked for, how far it is, and where its results are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update

from collegium.errors import UnknownBatch
from collegium.registry.database import Database
from collegium.registry.pages import Page, page_of, visible_to
from collegium.registry.tables import BatchRow, from_row, to_columns

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
ENDED = ("failed", "completed", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One bulk job; `notes` is the caller's metadata, `routing` what holds for the whole job."""

    id: str
    endpoint: str
    input_file_id: str
    completion_window: str
    expires_at: datetime
    status: BatchStatus = "validating"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
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
    """Spent, reserved, forecast of the rest, budget; None before it has begun."""
    owner: str = ""
    """The name of the caller's key; empty for the operator's."""


class BatchRegistry:
    """The bulk jobs, and their changes of status, which only ever go forward."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: BatchRecord) -> None:
        """Write a new job; when this returns, it outlives a crash of the process."""
        await self._database.write(insert(BatchRow), to_columns(record))

    async def get(self, batch_id: str, tenant: str = "") -> BatchRecord:
        """Return one job; UnknownBatch where there is none, or it is another's."""
        async with self._database.session() as session:
            row = await session.get(BatchRow, batch_id)
        if row is None or not visible_to(tenant, row.owner):
            raise UnknownBatch(f"no batch has the id '{batch_id}'", "batch_id")
        return from_row(BatchRecord, row)

    async def list(
        self, *, tenant: str = "", after: str | None = None, limit: int = 20
    ) -> Page[BatchRecord]:
        """Return one page of a caller's jobs, newest first."""
        cursor = None if after is None else await self.get(after, tenant)
        statement = select(BatchRow)
        if tenant:
            statement = statement.where(BatchRow.owner == tenant)
        rows = await page_of(self._database, statement, BatchRow, cursor, limit, "desc")
        return rows.map(lambda row: from_row(BatchRecord, row))

    async def unfinished(self) -> tuple[BatchRecord, ...]:
        """Return the jobs that still have something to do, oldest first."""
        open_ones = select(BatchRow).where(BatchRow.status.not_in(ENDED))
        oldest = BatchRow.created_at, BatchRow.id
        async with self._database.session() as session:
            rows = await session.scalars(open_ones.order_by(*oldest))
            return tuple(from_row(BatchRecord, row) for row in rows)

    async def forget_ended(self, before: datetime) -> int:
        """Delete the jobs that have ended and were made before then; say how many."""
        old = BatchRow.status.in_(ENDED) & (BatchRow.created_at < before)
        async with self._database.transaction() as session:
            done: Any = await session.execute(delete(BatchRow).where(old))
            return int(done.rowcount)

    async def become(
        self, batch_id: str, status: BatchStatus, *, out_of: Sequence[str], **changes: Any
    ) -> bool:
        """Change the status, if it is one of `out_of` now; say whether it was.

        The moment of the change is kept in the status's own column.
        """
        changes = {"status": status, f"{status}_at": datetime.now(UTC)} | changes
        here = (BatchRow.id == batch_id) & BatchRow.status.in_(out_of)
        async with self._database.transaction() as session:
            done: Any = await session.execute(update(BatchRow).where(here).values(**changes))
            return bool(done.rowcount)

    async def count(
        self,
        batch_id: str,
        *,
        total: int,
        completed: int,
        failed: int,
        money: Mapping[str, float | None] | None = None,
    ) -> None:
        """Write down how far a job is, and what it has spent."""
        counts: dict[str, Any] = {"total": total, "completed": completed, "failed": failed}
        if money is not None:
            counts["money"] = dict(money)
        async with self._database.transaction() as session:
            this = update(BatchRow).where(BatchRow.id == batch_id)
            await session.execute(this.values(**counts))
