"""Old files and ended jobs are deleted, a few at a time, while the service runs."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from collegium.registry.batches import BatchRegistry
from collegium.registry.clock import SteadyClock
from collegium.registry.file_store import FileStore
from collegium.registry.files import FileRecord, FileRegistry

log = logging.getLogger(__name__)
EVERY_S = 60.0
AT_ONCE = 200
"""Files that are deleted before others have their turn."""


class Retention:
    """By age and by size; without either, nothing is deleted but what said when it expires.

    A job that is under way has its own copy of its lines, so its file may go.
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
        self._store.remove(record.id)
        await self._files.forget(record.id)
