"""Delete decisions with all that hangs on them, in chunks so small that nobody has to wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from collegium.errors import CollegiumError
from collegium.registry.database import Database
from collegium.registry.deletion import UNSEEN, Deletion, Doomed
from collegium.registry.selection import Selection
from collegium.registry.tables import ExchangeRow

log = logging.getLogger(__name__)
CHUNK = 50
"""Rows that are deleted in one transaction; writers wait for it."""
READ = 1000
"""Rows that are looked for at once."""
REST = 3.0
"""How much longer the background rests between two chunks than one takes."""
EVERY_S = 60.0
FIRST_AFTER_S = 5.0
LEAST_REST_S = 0.005


class Retention:
    """Deletes what is asked for at once, and in the background what is too old or too much."""

    def __init__(
        self, database: Database, *, days: float | None = None, max_bytes: int | None = None
    ) -> None:
        self._database = database
        self._days = days
        self._max_bytes = max_bytes
        self._deletion = Deletion(database)
        self._turn = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None

    async def delete(self, selection: Selection, *, rest: float = 1.0) -> int:
        """Delete decisions with outcomes, feedback and exchanges; returns how many there were.

        Between two chunks it rests so many times as long as one took.
        """
        deleted = 0
        while doomed := await self._oldest_decisions(selection):
            for start in range(0, len(doomed), CHUNK):
                began = time.perf_counter()
                async with self._turn:
                    deleted += await self._deletion.delete(doomed[start : start + CHUNK])
                await asyncio.sleep(max(rest * (time.perf_counter() - began), LEAST_REST_S))
        return deleted

    async def _oldest_decisions(self, selection: Selection) -> Sequence[Doomed]:
        async with self._turn:
            return await self._deletion.oldest(selection, READ)

    async def prune(self) -> int:
        """Delete the decisions that are too old, and the oldest exchanges beyond the bound."""
        deleted = 0
        if self._days is not None:
            oldest = datetime.now(UTC) - timedelta(days=self._days)
            deleted += await self.delete(Selection(before=oldest), rest=REST)
        return deleted + await self._shrink()

    def start(self) -> None:
        """Prune from now on, every minute."""
        self._work = asyncio.create_task(self._run(), name="retention")

    async def close(self) -> None:
        """Prune no more; what is being deleted comes to its end."""
        if self._work is not None:
            async with self._turn:
                self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _run(self) -> None:
        await asyncio.sleep(FIRST_AFTER_S)
        while True:
            try:
                if deleted := await self.prune():
                    log.info("deleted %d decisions or exchanges that were not to be kept", deleted)
            except (CollegiumError, SQLAlchemyError) as exc:
                log.warning("old decisions are not deleted for now: %s", exc)
            await asyncio.sleep(EVERY_S)

    async def _shrink(self) -> int:
        """Delete the oldest exchanges until the others are within the bound."""
        if self._max_bytes is None:
            return 0
        deleted, excess = 0, await self._bytes() - self._max_bytes
        while excess > 0:
            rows = await self._oldest()
            doomed, freed = _enough(rows, excess)
            these = delete(ExchangeRow).where(ExchangeRow.decision_id.in_(doomed))
            async with self._turn, self._database.transaction() as session:
                await session.execute(these, execution_options=UNSEEN)
            deleted, excess = deleted + len(doomed), excess - freed
            await asyncio.sleep(LEAST_REST_S)
        return deleted

    async def _bytes(self) -> int:
        async with self._turn, self._database.session() as session:
            return int(await session.scalar(select(func.sum(ExchangeRow.bytes))) or 0)

    async def _oldest(self) -> Sequence[tuple[str, int]]:
        oldest = select(ExchangeRow.decision_id, ExchangeRow.bytes)
        oldest = oldest.order_by(ExchangeRow.created_at).limit(CHUNK)
        async with self._turn, self._database.session() as session:
            return [(name, size) for name, size in await session.execute(oldest)]


def _enough(rows: Sequence[tuple[str, int]], excess: int) -> tuple[list[str], int]:
    """The first rows that together free so much, and how much that is."""
    names, freed = [], 0
    for name, size in rows:
        if freed >= excess:
            break
        names.append(name)
        freed += size
    return names, freed if names else excess
