"""Runs open bulk jobs, each owner's oldest first, for as long as the service runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from datetime import UTC, datetime

from collegium.errors import CollegiumError, LeaseLost
from collegium.registry.background import Repeating
from collegium.registry.bulk.batches import BatchRecord
from collegium.web.batch.retention import Retention
from collegium.web.errors import unexpected
from collegium.web.serving.parts import Parts

log = logging.getLogger(__name__)
LOOK_S = 2.0
MOST_OWNERS = 8
AFTER_FAILURE_S = 10.0
RENEW_S = 3.0
"""Between two renewals of the leases, which last five times as long."""
RETENTION, RETENTION_S = "retention of files", 120.0
"""Files are deleted by one replica at a time: two that make room at once would make too much."""


class BatchWorker:
    """Runs one job per owner at a time, the oldest: two jobs of one owner would make engines take
    turns and so load them twice. Owners don't wait for each other's jobs.

    Of several replicas the one that claims a job does it. When that one dies, its leases end and
    another goes on.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._name = secrets.token_hex(8)
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
        self._renewing = Repeating(
            self._renew,
            RENEW_S,
            name="leases of bulk jobs",
            failing="the leases of bulk jobs can't be renewed",
        )
        self._is_retaining, self._asks_at = False, 0.0

    def start(self) -> None:
        """Begin in the background."""
        self._loop = asyncio.create_task(self._work(), name="bulk jobs")
        self._renewing.start()

    async def close(self) -> None:
        """Stop where it is: what is finished is written, the rest is for who goes on."""
        tasks = [*([self._loop] if self._loop else []), *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._renewing.close()
        if self._is_retaining:
            with contextlib.suppress(CollegiumError):
                await self._parts.leases.release(RETENTION, self._name)

    async def _renew(self) -> None:
        if self._tasks:
            await self._parts.batches.renew(self._name, tuple(self._tasks))

    async def _work(self) -> None:
        news = self._parts.inbox.news
        while True:
            news.clear()
            try:
                if not self._parts.draining.begun:
                    await self._look(await self._parts.batches.unfinished())
                if await self._retains():
                    await self._retention.prune()
            except CollegiumError as exc:  # the database is away
                log.warning("bulk jobs wait: %s", exc)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):  # `wait_for` may lose a cancellation
                    await news.wait()

    async def _retains(self) -> bool:
        """Whether this replica deletes old files. It asks the database twice in a lease's time."""
        now = asyncio.get_running_loop().time()
        if now >= self._asks_at:
            hold = self._parts.leases.hold
            self._is_retaining = await hold(RETENTION, self._name, RETENTION_S)
            self._asks_at = now + RETENTION_S / 2
        return self._is_retaining

    async def _look(self, unfinished: tuple[BatchRecord, ...]) -> None:
        """Claim each owner's oldest job, and jobs that only have to end."""
        now = datetime.now(UTC)
        leased = {record.id for record in unfinished if record.is_leased(now)}
        busy = {record.owner for record in unfinished if record.id in leased}
        for record in unfinished:
            if record.id in self._tasks or record.id in leased:
                continue
            ending = record.status == "cancelling" or record.expires_at <= self._parts.clock.now()
            busy |= self._working.keys()
            free = record.owner not in busy and len(self._working) < MOST_OWNERS
            if not ending and not free:
                continue
            if not ending:
                busy.add(record.owner)  # whoever claims it: the younger ones wait
            if await self._parts.batches.claim(record.id, self._name):
                self._begin(await self._parts.batches.get(record.id), working=not ending)

    def _begin(self, record: BatchRecord, *, working: bool) -> None:
        task = asyncio.create_task(self._do(record), name=record.id)
        self._tasks[record.id] = task
        if working:
            self._working[record.owner] = record.id

    async def _do(self, record: BatchRecord) -> None:
        from collegium.web.batch.job import BulkJob  # a service without jobs need not load it

        try:
            await BulkJob(self._parts, record, self._name).run()
        except LeaseLost as exc:
            log.warning("bulk job %s goes on elsewhere: %s", record.id, exc)
        except (CollegiumError, OSError) as exc:  # a full disk, a database that is down
            log.error("bulk job %s waits %.0f s: %s", record.id, AFTER_FAILURE_S, exc)
            await asyncio.sleep(AFTER_FAILURE_S)
        except Exception:  # the outermost handler of a job: the next one goes on
            log.exception("bulk job %s failed", record.id)
            await self._give_up(record.id)
        finally:
            with contextlib.suppress(CollegiumError):
                await self._parts.batches.release(self._name, record.id)
            del self._tasks[record.id]
            if self._working.get(record.owner) == record.id:
                del self._working[record.owner]
            self._parts.inbox.news.set()

    async def _give_up(self, batch_id: str) -> None:
        failure = unexpected()
        error = {"code": failure.code, "message": str(failure), "line": None, "param": None}
        out_of = ("validating", "in_progress", "cancelling", "finalizing")
        with contextlib.suppress(CollegiumError):
            await self._parts.batches.become(
                batch_id, "failed", out_of=out_of, worker=self._name, errors=[error]
            )
