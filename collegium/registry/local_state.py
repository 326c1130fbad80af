"""Migrate state that earlier versions kept in the data folder to the database, once.

They kept the bytes of files in `files`, unfinished bulk jobs in `batches` and the state of online
learning in `online`; a restored archive of theirs has these folders, too.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from collegium.registry.bulk.file_store import CHUNK
from collegium.registry.storage.database import Database
from collegium.registry.tables import (
    ENDED,
    BatchRecordRow,
    BatchRow,
    FileChunkRow,
    OnlineStateRow,
)

log = logging.getLogger(__name__)


async def move(data_dir: Path, database: Database) -> None:
    """Copy everything, then delete the folders: a crash in between loses nothing."""
    files, batches, online = (data_dir / name for name in ("files", "batches", "online"))
    for path in sorted(files.glob("file-*")):
        await _move_file(path, path.name, database)
    for folder in sorted(batches.glob("batch_*")):
        await _move_job(folder, database)
    if (online / "bandit.json").is_file():
        await _move_learnt(online, database)
    for folder in (files, batches, online):
        if folder.is_dir():
            shutil.rmtree(folder)
            log.info("%s is in the database now", folder)


async def _move_file(path: Path, file_id: str, database: Database) -> None:
    new = database.insert(FileChunkRow).on_conflict_do_nothing()
    for number, data in enumerate(_pieces(path)):
        columns = {"file_id": file_id, "number": number, "data": data}
        await database.write(new, {**columns, "written_at": datetime.now(UTC)})


async def _move_job(folder: Path, database: Database) -> None:
    """Store a job's lines as a new file, because the original file may have been deleted."""
    source, input_id = folder / "input.jsonl", f"file-{folder.name.removeprefix('batch_')}"
    if not source.is_file():
        return
    await _move_file(source, input_id, database)
    unmoved = (BatchRow.id == folder.name) & (BatchRow.input_file_id != input_id)
    this = update(BatchRow).where(unmoved, BatchRow.status.not_in(ENDED))
    rows = list(_records(folder))
    async with database.transaction() as session:
        done: Any = await session.execute(this.values(input_file_id=input_id))
        if done.rowcount and rows:
            await session.execute(insert(BatchRecordRow), rows)


async def _move_learnt(folder: Path, database: Database) -> None:
    """Keep the state in the database, if there is one: another replica wrote it, so it is newer."""
    card = (folder / "bandit.json").read_text(encoding="utf-8")
    arrays = (folder / "bandit.safetensors").read_bytes()
    this = update(OnlineStateRow).where(OnlineStateRow.revision == 0)
    async with database.transaction() as session:
        await session.execute(this.values(revision=1, card=card, arrays=arrays))


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    plan = folder / "plan.jsonl"
    if plan.is_file():
        yield _record(folder, "plan", plan.read_bytes(), None)
    for kind in ("output", "errors", "ledger"):
        path = folder / f"{kind}.jsonl"
        for data in path.read_bytes().splitlines(keepends=True) if path.is_file() else ():
            if data.endswith(b"\n"):  # else it was torn by a crash
                number = None if kind == "ledger" else json.loads(data)["id"].rpartition("_")[2]
                yield _record(folder, kind, data, number and int(number))


def _record(folder: Path, kind: str, data: bytes, line: int | None) -> dict[str, Any]:
    return {"batch_id": folder.name, "kind": kind, "data": data, "line": line}


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield file.read(CHUNK)  # an empty file is one piece
        while data := file.read(CHUNK):
            yield data
