"""Delete decisions with everything that belongs to them, in small chunks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from collegium.errors import CollegiumError
from collegium.registry.decisions.deletion import UNSEEN, Deletion, Doomed
from collegium.registry.decisions.selection import Selection
from collegium.registry.storage.database import Database
from collegium.registry.tables import ExchangeRow, ResponseRow

log = logging.getLogger(__name__)
CHUNK = 50
"""Rows that are deleted in one transaction; writers wait for it."""
READ = 1000
"""Rows that are looked for at once."""
REST = 3.0
"""Pause between two chunks, as a multiple of the time that a chunk takes."""
EVERY_S = 60.0
FIRST_AFTER_S = 5.0
LEAST_REST_S = 0.005


class Retention:
    """Deletes on request, and in the background what is too old or exceeds the maximum size."""

    def __init__(
        self,
        database: Database,
        *,
        days: float | None = None,
        max_bytes: int | None = None,
        forget: Callable[[Sequence[str]], Awaitable[None]] | None = None,
    ) -> None:
        """`forget` is told which decisions are about to be deleted; it forgets their answers."""
        self._forget = forget
        self._database = database
        self._days = days
        self._max_bytes = max_bytes
        self._deletion = Deletion(database)
        self._turn = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None

    async def delete(self, selection: Selection, *, rest: float = 1.0) -> int:
        """Delete decisions with outcomes, feedback, exchanges and what learning runs took of them;
        returns how many there were.

        Between two chunks it rests so many times as long as one took.
        """
        from collegium.registry.learning.forgetting import forget_prompts

        deleted = 0
        while doomed := await self._oldest_decisions(selection):
            async with self._turn:
                await forget_prompts(self._database, [each.id for each in doomed])
            for start in range(0, len(doomed), CHUNK):
                began = time.perf_counter()
                chunk = doomed[start : start + CHUNK]
                if self._forget is not None:  # first: a deletion that fails can be repeated
                    await self._forget([each.id for each in chunk])
                async with self._turn:
                    deleted += await self._deletion.delete(chunk)
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
        """Stop pruning; a deletion in progress is completed."""
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
        """Delete the oldest exchanges, and responses with them, until the bound is kept."""
        if self._max_bytes is None:
            return 0
        deleted, excess = 0, await self._bytes() - self._max_bytes
        while excess > 0:
            rows = await self._oldest()
            doomed, freed = _enough(rows, excess)
            async with self._turn, self._database.transaction() as session:
                for table in (ExchangeRow, ResponseRow):
                    these = delete(table).where(table.decision_id.in_(doomed))
                    await session.execute(these, execution_options=UNSEEN)
            deleted, excess = deleted + len(doomed), excess - freed
            await asyncio.sleep(LEAST_REST_S)
        return deleted

    async def _bytes(self) -> int:
        async with self._turn, self._database.session() as session:
            sums = [select(func.sum(table.bytes)) for table in (ExchangeRow, ResponseRow)]
            return sum([int(await session.scalar(each) or 0) for each in sums])

    async def _oldest(self) -> Sequence[tuple[str, int]]:
        room = ExchangeRow.bytes + func.coalesce(ResponseRow.bytes, 0)
        both = ResponseRow.decision_id == ExchangeRow.decision_id
        oldest = select(ExchangeRow.decision_id, room).outerjoin(ResponseRow, both)
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
