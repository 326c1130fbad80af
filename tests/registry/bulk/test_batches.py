"""Files and bulk jobs in the registry: their bytes, their leases and their journals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collegium.errors import LeaseLost, UnknownBatch, UnknownFile
from collegium.registry.bulk import batches as batches_module
from collegium.registry.bulk import file_store
from collegium.registry.bulk import journal as batch_journal
from collegium.registry.bulk.batches import BatchRecord, BatchRegistry
from collegium.registry.bulk.file_store import FileStore
from collegium.registry.bulk.files import FileRecord, FileRegistry
from collegium.registry.bulk.journal import BatchJournal
from collegium.registry.storage.database import Database

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
    assert await batches.claim("batch_1", "a worker")
    await batches.count("batch_1", "a worker", total=5, completed=3, failed=1)
    await batches.count("batch_1", "another", total=9, completed=9, failed=9)
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
    raise OSError("the client has left")


async def content(store: FileStore, file_id: str) -> bytes:
    return b"".join([chunk async for chunk in store.chunks(file_id)])


@pytest.mark.parametrize("parts", [(b"one", b"", b"two"), (), (b"x" * 3_000_000, b"y" * 10)])
async def test_bytes_are_read_back_as_they_were_written(
    database: Database, parts: tuple[bytes, ...]
) -> None:
    """Of any size; the id is all that another replica needs."""
    file_id, size = await FileStore(database).save(pieces(*parts))
    assert size == sum(map(len, parts))
    assert await content(FileStore(database), file_id) == b"".join(parts)


async def test_only_bytes_that_somebody_can_read_are_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a record or of an unfinished job's input; an upload that broke off goes."""
    store, files, batches = FileStore(database), FileRegistry(database), BatchRegistry(database)
    kept, _ = await store.save(pieces(b"kept"))
    await files.put(FileRecord(kept, "a", "batch", 4))
    source, _ = await store.save(pieces(b"a job's lines"))
    await batches.add(replace(job(1), input_file_id=source))
    orphan, _ = await store.save(pieces(b"an upload that was cut off"))
    with pytest.raises(OSError, match="has left"):
        await store.save(broken())
    await store.sweep()
    assert await content(store, orphan)  # it may be under way
    monkeypatch.setattr(file_store, "UNFINISHED", timedelta(0))
    await store.remove(source)
    await store.sweep()
    assert await content(store, kept) == b"kept"
    assert await content(store, source) == b"a job's lines"
    with pytest.raises(UnknownFile, match="was deleted"):
        await content(store, orphan)
    await batches.become("batch_1", "cancelled", out_of=("validating",))
    await store.sweep()
    with pytest.raises(UnknownFile):
        await content(store, source)


async def test_one_of_several_replicas_claims_a_job(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it lets go or its lease ends."""
    batches = BatchRegistry(database)
    await batches.add(job(1))
    won = await asyncio.gather(*(batches.claim("batch_1", f"worker {n}") for n in range(5)))
    assert sorted(won) == [False] * 4 + [True]
    first = f"worker {won.index(True)}"
    await batches.release("somebody else", "batch_1")
    assert not await batches.claim("batch_1", "the next")
    await batches.release(first, "batch_1")
    monkeypatch.setattr(batches_module, "LEASE", timedelta(seconds=-1))
    assert await batches.claim("batch_1", "one that dies")
    assert await batches.claim("batch_1", "the last")
    await batches.become("batch_1", "failed", out_of=("validating",), worker="one that dies")
    assert (await batches.get("batch_1")).status == "validating"
    assert await batches.become("batch_1", "failed", out_of=("validating",), worker="the last")
    assert not await batches.claim("batch_1", "nobody")


async def records(journal: BatchJournal, kind: Any) -> list[bytes]:
    return [data async for data in journal.records(kind)]


async def test_a_journal_is_read_back_in_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kind, also over several pages; with the job's end it goes."""
    monkeypatch.setattr(batch_journal, "AT_ONCE", 7)
    batches = BatchRegistry(database)
    await batches.add(job(1))
    await batches.claim("batch_1", "a worker")
    journal = BatchJournal(database, "batch_1", "a worker")
    await journal.append("plan", b"all to one")
    lines = [f"line {n}".encode() for n in range(50)]
    await asyncio.gather(*(journal.append("output", d, line=n) for n, d in enumerate(lines)))
    await journal.append("output", b"line 3 once more", line=3)
    again = BatchJournal(database, "batch_1", "another")
    assert await records(again, "output") == lines
    assert await records(again, "plan") == [b"all to one"]
    assert await records(again, "errors") == []
    await batches.become("batch_1", "completed", out_of=("validating",), worker="a worker")
    assert await records(again, "output") == []


async def test_a_worker_that_lost_its_lease_writes_nothing_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late it notices: nothing is done twice."""
    batches = BatchRegistry(database)
    await batches.add(job(1))
    monkeypatch.setattr(batches_module, "LEASE", timedelta(seconds=-1))
    await batches.claim("batch_1", "one that sleeps")
    sleepy = BatchJournal(database, "batch_1", "one that sleeps")
    await sleepy.append("output", b"before", line=1)
    assert await batches.claim("batch_1", "the next")
    with pytest.raises(LeaseLost, match="batch_1"):
        await sleepy.append("output", b"after", line=2)
    assert await records(sleepy, "output") == [b"before"]
    await BatchJournal(database, "batch_1", "the next").append("output", b"mine", line=2)
    assert await records(sleepy, "output") == [b"before", b"mine"]
