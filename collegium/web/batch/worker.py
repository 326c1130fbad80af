"""Does the open bulk jobs, each owner's oldest first, for as long as the service runs."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from collegium.errors import CollegiumError
from collegium.registry.batches import BatchRecord
from collegium.web.batch.retention import Retention
from collegium.web.errors import unexpected
from collegium.web.serving.parts import Parts

log = logging.getLogger(__name__)
LOOK_S = 2.0
MOST_OWNERS = 8
AFTER_FAILURE_S = 10.0


class BatchWorker:
    """One job of each owner is worked on at a time, the oldest: two of one would take turns at the
    engines, and so load them twice. Owners don't wait for each other's jobs.

    Of several processes on one data folder only one works, the one that holds the lock; the kernel
    frees it even after kill -9. A job belongs to the machine that has its files.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        settings = parts.settings
        gib = settings.keep_files_gib
        self._retention = Retention(
            parts.files,
            parts.file_store,
            parts.batches,
            parts.clock,
            days=settings.keep_files_days,
            most_bytes=None if gib is None else round(gib * 2**30),
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._working: dict[str, str] = {}
        """The job that is worked on, by its owner."""
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background."""
        self._loop = asyncio.create_task(self._run(), name="bulk jobs")

    async def close(self) -> None:
        """Stop where it is: what is finished is on disk, the rest is asked again."""
        tasks = [task for task in (self._loop, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        folder = self._parts.inbox.root
        while True:
            with _lock(folder / ".lock") as held:
                if held:
                    await self._work()
            await asyncio.sleep(LOOK_S)

    async def _work(self) -> None:
        news = self._parts.inbox.news
        while True:
            news.clear()
            try:
                self._look(await self._parts.batches.unfinished())
                await self._retention.prune()
            except (CollegiumError, OSError) as exc:  # the database or the disk is away
                log.warning("bulk jobs wait: %s", exc)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), LOOK_S)

    def _look(self, unfinished: tuple[BatchRecord, ...]) -> None:
        """Begin with each owner's oldest job; what only has to end does so at once."""
        self._clean({record.id for record in unfinished})
        for record in unfinished:
            if record.id in self._tasks or not (self._folder(record.id)).is_dir():
                continue
            ending = record.status == "cancelling" or record.expires_at <= self._parts.clock.now()
            free = record.owner not in self._working and len(self._working) < MOST_OWNERS
            if ending or free:
                self._begin(record, working=not ending)

    def _begin(self, record: BatchRecord, *, working: bool) -> None:
        task = asyncio.create_task(self._do(record), name=record.id)
        self._tasks[record.id] = task
        if working:
            self._working[record.owner] = record.id

    async def _do(self, record: BatchRecord) -> None:
        from collegium.web.batch.job import BulkJob  # a service without jobs need not load it

        try:
            await BulkJob(self._parts, record, self._folder(record.id)).run()
        except (CollegiumError, OSError) as exc:  # a full disk, a database that is down
            log.error("bulk job %s waits %.0f s: %s", record.id, AFTER_FAILURE_S, exc)
            await asyncio.sleep(AFTER_FAILURE_S)
        except Exception:  # the outermost handler of a job: the next one goes on
            log.exception("bulk job %s failed", record.id)
            await self._give_up(record.id)
        finally:
            del self._tasks[record.id]
            if self._working.get(record.owner) == record.id:
                del self._working[record.owner]
            self._parts.inbox.news.set()

    async def _give_up(self, batch_id: str) -> None:
        failure = unexpected()
        error = {"code": failure.code, "message": str(failure), "line": None, "param": None}
        out_of = ("validating", "in_progress", "cancelling", "finalizing")
        with contextlib.suppress(CollegiumError):
            await self._parts.batches.become(batch_id, "failed", out_of=out_of, errors=[error])

    def _clean(self, unfinished: set[str]) -> None:
        """Delete the folders of jobs that have ended: their results are in the file store."""
        for folder in self._parts.inbox.root.glob("batch_*"):
            fresh = folder.stat().st_mtime > datetime.now(UTC).timestamp() - 60
            if folder.name not in unfinished and folder.name not in self._tasks and not fresh:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, batch_id: str) -> Path:
        return self._parts.inbox.folder(batch_id)


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Try to take the lock; yields whether we have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
