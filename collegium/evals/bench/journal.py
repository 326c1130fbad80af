"""A file of JSON lines that survives kill -9: each record is written exactly once.

A record counts when its whole line, with its line end, is on disk. A process that is killed while
it writes leaves a torn last line, which the next one cuts off before it writes on.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

Json = dict[str, Any]


class Journal:
    """Append records; each `append` returns when its record is durable.

    One fsync serves all records that came while the last one ran: with a batch of answers ending
    together the disk is asked once, not once an answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    def open(self) -> Iterator[Json]:
        """Cut off a torn end, open for writing and yield the records that are there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+b")
        self._file = file
        file.seek(0)
        end = 0
        for raw in file:
            record = _whole(raw)
            if record is None:
                break
            end += len(raw)
            yield record
        file.truncate(end)
        os.fsync(file.fileno())
        _sync_folder(self.path.parent)

    async def append(self, record: Json) -> None:
        """Write one record and wait until it is on disk."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((_encoded(record), done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name=f"journal {self.path.name}")
        await asyncio.shield(done)

    async def close(self) -> None:
        """Finish what is being written."""
        if self._writing is not None:
            await self._writing
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await asyncio.to_thread(self._put, b"".join(raw for raw, _ in batch))
                except OSError as exc:  # a full disk: every writer hears of it
                    _tell(batch, exc)
                else:
                    _tell(batch, None)
        finally:
            self._writing = None

    def _put(self, data: bytes) -> None:
        if self._file is None:
            raise OSError(f"the journal {self.path.name} is closed")
        descriptor = self._file.fileno()
        end = os.fstat(descriptor).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, end)  # what comes next begins on a line of its own
            raise


def _encoded(record: Json) -> bytes:
    """Plain UTF-8; half a surrogate pair, which callers can send, stays an escape."""
    try:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        return f"{text}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(record, separators=(',', ':'))}\n".encode()


def _tell(batch: list[tuple[bytes, asyncio.Future[None]]], error: OSError | None) -> None:
    for _, done in batch:
        if done.cancelled():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _whole(raw: bytes) -> Json | None:
    """Return the record of a complete line; None for a torn one."""
    if not raw.endswith(b"\n"):
        return None
    try:
        record = json.loads(raw)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
