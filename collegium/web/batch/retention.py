"""Delete old files and ended jobs, a few at a time, while the service runs."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from collegium.registry.bulk.batches import BatchRegistry
from collegium.registry.bulk.file_store import FileStore
from collegium.registry.bulk.files import FileRecord, FileRegistry
from collegium.registry.clock import SteadyClock

log = logging.getLogger(__name__)
EVERY_S = 60.0
AT_ONCE = 200
"""Files that are deleted before others have their turn."""


class Retention:
    """Deletes by age and by size; with neither setting, only files with an expiry are deleted.

    The content of a file that an unfinished job reads stays until that job has ended.
    """

    def __init__(
        self,
        files: FileRegistry,
        store: FileStore,
        batches: BatchRegistry,
        clock: SteadyClock,
        *,
        days: float | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self._files, self._store, self._batches = files, store, batches
        self._clock = clock
        self._days = days
        self._most_bytes = most_bytes
        self._next_s = 0.0

    async def prune(self) -> None:
        """Delete what is due; of age and size only once a minute."""
        for record in await self._files.expired():
            await self._delete(record)
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + EVERY_S
        await self._store.sweep()
        if self._days is not None:
            before = self._clock.now() - timedelta(days=self._days)
            while old := await self._files.oldest(AT_ONCE, before=before):
                await self._delete_all(old)
            await self._batches.forget_ended(before)
        if self._most_bytes is not None:
            await self._shrink(self._most_bytes)

    async def _shrink(self, most: int) -> None:
        """Delete files until the others fit: the oldest of the owner who has most, each time."""
        held = await self._files.bytes_by_owner()
        while sum(held.values()) > most:
            owner = max(held, key=held.__getitem__)
            old = await self._files.oldest(AT_ONCE, owner=owner)
            if not old:  # somebody deleted them meanwhile
                del held[owner]
            for record in old:
                if sum(held.values()) <= most or held[owner] < max(held.values()):
                    break
                await self._delete(record)
                held[owner] -= record.bytes

    async def _delete_all(self, records: tuple[FileRecord, ...]) -> None:
        for record in records:
            await self._delete(record)
        log.info("%d files were deleted, as they are old", len(records))

    async def _delete(self, record: FileRecord) -> None:
        await self._files.forget(record.id)
        await self._store.remove(record.id)
