"""Metadata of bulk jobs' files; their contents are in the file store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete, func, select

from collegium.errors import UnknownFile
from collegium.registry.clock import SteadyClock, utc_now
from collegium.registry.storage.database import Database
from collegium.registry.storage.pages import Order, Page, Scope, owned, page_of, within
from collegium.registry.tables import FileRow, from_row, to_columns


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file; `filename` is the caller's name for it and never used as a path."""

    id: str
    filename: str
    purpose: str
    bytes: int
    created_at: datetime = field(default_factory=utc_now)
    expires_at: datetime | None = None
    owner: str = ""
    """The name of the caller's key; empty for the operator's."""


class FileRegistry:
    """The files that callers see."""

    def __init__(self, database: Database, clock: SteadyClock | None = None) -> None:
        self._database = database
        self._clock = clock or SteadyClock()

    async def put(self, record: FileRecord) -> None:
        """Write a file's record, after its bytes have been stored."""
        await self._database.write(self._database.upsert(FileRow), to_columns(record))

    async def get(self, file_id: str, scope: Scope = None, *, param: str = "file_id") -> FileRecord:
        """Return one file's record; raise UnknownFile if none exists within the scope or it has
        expired. `param` is the request's field that names it.
        """
        async with self._database.session() as session:
            row = await session.get(FileRow, file_id)
        record = None if row is None else from_row(FileRecord, row)
        if record is None or self._is_over(record) or not within(scope, record.owner):
            raise UnknownFile(f"no file has the id '{file_id}'", param)
        return record

    async def list(
        self,
        *,
        scope: Scope = None,
        purpose: str | None = None,
        after: str | None = None,
        limit: int = 100,
        order: Order = "desc",
    ) -> Page[FileRecord]:
        """Return one page of the files, newest first by default."""
        statement = select(FileRow).where(owned(FileRow.owner, scope))
        if purpose is not None:
            statement = statement.where(FileRow.purpose == purpose)
        cursor = None if after is None else await self.get(after, scope)
        rows = await page_of(self._database, statement, FileRow, cursor, limit, order)
        return rows.map(lambda row: from_row(FileRecord, row))

    async def expired(self) -> tuple[FileRecord, ...]:
        """Return the files that have expired."""
        over = FileRow.expires_at <= self._clock.now()
        async with self._database.session() as session:
            rows = await session.scalars(select(FileRow).where(over))
            return tuple(from_row(FileRecord, row) for row in rows)

    async def oldest(
        self, limit: int, *, before: datetime | None = None, owner: str | None = None
    ) -> tuple[FileRecord, ...]:
        """Return the oldest files, of those created before a time, or of one owner."""
        statement = select(FileRow).order_by(FileRow.created_at, FileRow.id).limit(limit)
        if before is not None:
            statement = statement.where(FileRow.created_at < before)
        if owner is not None:
            statement = statement.where(FileRow.owner == owner)
        async with self._database.session() as session:
            rows = await session.scalars(statement)
            return tuple(from_row(FileRecord, row) for row in rows)

    async def bytes_by_owner(self) -> dict[str, int]:
        """Return the total size of each owner's files, bytes."""
        held = select(FileRow.owner, func.sum(FileRow.bytes)).group_by(FileRow.owner)
        async with self._database.session() as session:
            return {owner: int(total) for owner, total in await session.execute(held)}

    async def forget(self, file_id: str) -> None:
        """Delete a file's record, if there is one."""
        async with self._database.transaction() as session:
            await session.execute(delete(FileRow).where(FileRow.id == file_id))

    def _is_over(self, record: FileRecord) -> bool:
        return record.expires_at is not None and record.expires_at <= self._clock.now()
