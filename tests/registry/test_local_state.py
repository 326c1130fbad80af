"""What earlier versions kept in the data folder is in the database after the first start."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collegium.registry import local_state
from collegium.registry.bulk.batches import BatchRecord, BatchRegistry, BatchStatus
from collegium.registry.bulk.file_store import FileStore
from collegium.registry.bulk.journal import BatchJournal
from collegium.registry.online_state import OnlineState
from collegium.registry.storage.database import Database

LATER = datetime.now(UTC) + timedelta(hours=1)
BATCH = "batch_" + "b" * 24


def left(folder: Path) -> None:
    """The folders of a service that was killed in the middle of a job."""
    for name in ("files", f"batches/{BATCH}", "online"):
        (folder / name).mkdir(parents=True)
    (folder / "files" / "file-1").write_bytes(b"x" * 1_500_000)
    (folder / "files" / "file-2").write_bytes(b"")
    job = folder / "batches" / BATCH
    (job / "input.jsonl").write_bytes(b"the lines")
    (job / "plan.jsonl").write_bytes(b"the plan")
    results = [json.dumps({"id": f"batch_req_b_{n}"}) + "\n" for n in (1, 2)]
    (job / "output.jsonl").write_text("".join(results) + '{"id": "torn')
    (job / "ledger.jsonl").write_text('{"line": 1, "spent": 0.5}\n')
    (folder / "online" / "bandit.json").write_text("a card")
    (folder / "online" / "bandit.safetensors").write_bytes(b"arrays")


async def content(database: Database, file_id: str) -> bytes:
    return b"".join([chunk async for chunk in FileStore(database).chunks(file_id)])


@pytest.mark.parametrize("status", ["in_progress", "completed"])
async def test_it_is_moved_once(database: Database, tmp_path: Path, status: BatchStatus) -> None:
    """Bytes, the journals of unfinished jobs and what was learnt; then the folders are gone."""
    folder, batches = tmp_path / "before", BatchRegistry(database)
    await batches.add(BatchRecord(BATCH, "/v1/chat", "file-9", "1h", LATER, status=status))
    left(folder)
    await local_state.move(folder, database)
    left(tmp_path / "again")  # as if the first start had been killed before it deleted them
    await local_state.move(tmp_path / "again", database)
    assert list(folder.iterdir()) == []
    assert len(await content(database, "file-1")) == 1_500_000
    assert await content(database, "file-2") == b""
    journal = BatchJournal(database, BATCH, "nobody")
    kept = {
        kind: [data async for data in journal.records(kind)]
        for kind in ("plan", "output", "errors", "ledger")
    }
    if status == "completed":
        assert kept == {"plan": [], "output": [], "errors": [], "ledger": []}
    else:
        job = await batches.get(BATCH)
        assert await content(database, job.input_file_id) == b"the lines"
        assert [len(records) for records in kept.values()] == [1, 2, 0, 1]
    learnt = await OnlineState(database).get()
    assert (learnt.revision, learnt.card, learnt.arrays) == (1, "a card", b"arrays")


async def test_a_data_folder_of_this_version_has_nothing_to_move(
    database: Database, tmp_path: Path
) -> None:
    """And what was learnt since is not written over."""
    await OnlineState(database).change(lambda learnt: ("newer", learnt.arrays))
    await local_state.move(tmp_path / "nowhere", database)
    left(tmp_path / "older")
    await local_state.move(tmp_path / "older", database)
    assert (await OnlineState(database).get()).card == "newer"
