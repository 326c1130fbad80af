"""Files and bulk jobs in the registry, and their bytes on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collegium.errors import SetupError, UnknownBatch, UnknownFile
from collegium.registry.batches import BatchRecord, BatchRegistry
from collegium.registry.database import Database
from collegium.registry.file_store import FileStore
from collegium.registry.files import FileRecord, FileRegistry

LATER = datetime.now(UTC) + timedelta(hours=1)


def job(number: int) -> BatchRecord:
    made = datetime.now(UTC) + timedelta(milliseconds=number)
    return BatchRecord(f"batch_{number}", "/v1/chat", "file-1", "24h", LATER, created_at=made)


async def test_a_status_only_goes_forward(database: Database) -> None:
    """Of two who change it at the same time one wins; the moment is kept."""
    batches = BatchRegistry(database)
    await batches.add(job(1))
    open_ones = ("validating", "in_progress")
    won = await asyncio.gather(
        batches.become("batch_1", "cancelling", out_of=open_ones),
        batches.become("batch_1", "finalizing", out_of=open_ones),
    )
    assert sorted(won) == [False, True]
    record = await batches.get("batch_1")
    assert (record.cancelling_at is None) != (record.finalizing_at is None)
    assert await batches.become("batch_1", "completed", out_of=(record.status,))
    assert await batches.unfinished() == ()


async def test_a_job_is_read_back_as_it_was_written(database: Database) -> None:
    """Counts, notes and errors included; an unknown one is said to be unknown."""
    batches = BatchRegistry(database)
    await batches.add(job(1))
    await batches.count("batch_1", total=5, completed=3, failed=1)
    errors = [{"code": "empty_file", "message": "no lines"}]
    await batches.become("batch_1", "failed", out_of=("validating",), errors=errors)
    record = await batches.get("batch_1")
    assert (record.total, record.completed, record.failed) == (5, 3, 1)
    assert record.errors == tuple(errors)
    with pytest.raises(UnknownBatch, match="batch_2"):
        await batches.get("batch_2")


async def test_pages_follow_each_other_without_gap_or_repeat(database: Database) -> None:
    """Newest first, the cursor being the last id of a page; also for equal times."""
    batches = BatchRegistry(database)
    for number in range(7):
        await batches.add(job(number // 2 * 2 + number * 10))
    seen: list[str] = []
    after, more = None, True
    while more:
        page = await batches.list(after=after, limit=3)
        seen += [record.id for record in page.items]
        after, more = seen[-1], page.has_more
    assert len(seen) == len(set(seen)) == 7
    assert seen == [record.id for record in (await batches.list(limit=100)).items]


async def test_a_file_whose_time_is_over_is_gone(database: Database) -> None:
    """It can't be read any more, and is named to whoever deletes it."""
    files = FileRegistry(database)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await files.put(FileRecord("file-1", "a", "batch", 3, expires_at=past))
    await files.put(FileRecord("file-2", "b", "batch", 3, expires_at=LATER))
    with pytest.raises(UnknownFile):
        await files.get("file-1")
    assert [record.id for record in await files.expired()] == ["file-1"]
    assert (await files.get("file-2")).filename == "b"


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def broken() -> AsyncIterator[bytes]:
    yield b"half"
    raise OSError(28, "No space left on device")


async def test_bytes_are_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    """An upload that breaks off leaves nothing behind."""
    store = FileStore(tmp_path)
    file_id, size = await store.save(pieces(b"one", b"", b"two"))
    assert size == 6
    assert b"".join([chunk async for chunk in store.chunks(file_id)]) == b"onetwo"
    with pytest.raises(SetupError, match="can't be stored in data_dir: No space"):
        await store.save(broken())
    assert [path.name for path in tmp_path.iterdir()] == [file_id]


@pytest.mark.parametrize("name", ["../secret", "file-../../x", "", "file-" + "g" * 24, "file-a\0"])
def test_an_id_that_we_did_not_make_is_no_path(tmp_path: Path, name: str) -> None:
    """User input never becomes a path."""
    with pytest.raises(UnknownFile):
        FileStore(tmp_path).path(name)
