"""The bytes of files, in the database: every replica reads what any replica has written."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, AsyncIterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select

from collegium.errors import UnknownFile
from collegium.registry.storage.database import Database
from collegium.registry.tables import ENDED, BatchRow, FileChunkRow, FileRow

CHUNK = 1 << 20
"""Bytes per row: a write takes milliseconds, and other transactions run between two writes."""
UNFINISHED = timedelta(hours=1)
"""An upload that has no record after this time was cut off."""
READ_BY_JOBS = select(BatchRow.input_file_id).where(BatchRow.status.not_in(ENDED))


class FileStore:
    """Stores files in rows of about `CHUNK` bytes. A file exists once it has a record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, chunks: AsyncIterable[bytes]) -> tuple[str, int]:
        """Write a new file; return its id and its length in bytes."""
        file_id, size, number = new_file_id(), 0, 0
        async for data in _regular(chunks):
            columns = {"file_id": file_id, "number": number, "data": data}
            columns["written_at"] = datetime.now(UTC)
            await self._database.write(insert(FileChunkRow), columns)
            size, number = size + len(data), number + 1
        return file_id, size

    async def chunks(self, file_id: str) -> AsyncIterator[bytes]:
        """Yield a file's bytes; UnknownFile if there are none."""
        number = 0
        while (data := await self._chunk(file_id, number)) is not None:
            yield data
            number += 1
        if not number:
            raise UnknownFile(f"the content of file '{file_id}' was deleted", "file_id")

    async def remove(self, file_id: str) -> None:
        """Delete the bytes, except while an unfinished job reads them; `sweep` does it then."""
        this = (FileChunkRow.file_id == file_id) & FileChunkRow.file_id.not_in(READ_BY_JOBS)
        async with self._database.transaction() as session:
            await session.execute(delete(FileChunkRow).where(this))

    async def sweep(self) -> None:
        """Delete the bytes that have no record and that no unfinished job reads."""
        orphaned = (
            FileChunkRow.file_id.not_in(select(FileRow.id)),
            FileChunkRow.file_id.not_in(READ_BY_JOBS),
            FileChunkRow.written_at < datetime.now(UTC) - UNFINISHED,
        )
        async with self._database.transaction() as session:
            await session.execute(delete(FileChunkRow).where(*orphaned))

    async def _chunk(self, file_id: str, number: int) -> bytes | None:
        this = (FileChunkRow.file_id == file_id) & (FileChunkRow.number == number)
        async with self._database.session() as session:
            return await session.scalar(select(FileChunkRow.data).where(this))


def new_file_id() -> str:
    """Return a new id."""
    return f"file-{secrets.token_hex(12)}"


async def _regular(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the bytes in pieces of at least `CHUNK`, except the last; no bytes are one piece."""
    held, yielded = bytearray(), False
    async for data in chunks:
        held += data
        if len(held) >= CHUNK:
            yield bytes(held)
            held, yielded = bytearray(), True
    if held or not yielded:
        yield bytes(held)
