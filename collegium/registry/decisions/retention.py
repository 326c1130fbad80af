"""Delete decisions with everything that belongs to them, in small chunks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select

from collegium.registry.background import Repeating
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
        self._loop = Repeating(
            self._prune,
            EVERY_S,
            name="retention",
            failing="old decisions are not deleted for now",
            first_after_s=FIRST_AFTER_S,
        )

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
        self._loop.start()

    async def close(self) -> None:
        """Stop pruning; a deletion in progress is completed."""
        async with self._turn:
            await self._loop.close()

    async def _prune(self) -> None:
        if deleted := await self.prune():
            log.info("deleted %d decisions or exchanges that were not to be kept", deleted)

    async def _shrink(self) -> int:
        """Delete exchanges, and responses with them, until the bound is kept: the oldest of the
        owner who has most, so that nobody loses any to others while below an equal share.
        """
        if self._max_bytes is None:
            return 0
        deleted, held = 0, await self._bytes_by_owner()
        share = equal_share(held.values(), self._max_bytes)
        while (excess := sum(held.values()) - self._max_bytes) > 0:
            owner = max(held, key=held.__getitem__)
            rows = await self._oldest(owner)
            if not rows:  # somebody deleted them meanwhile
                del held[owner]
                continue
            doomed, freed = _enough(rows, min(excess, held[owner] - share))
            async with self._turn, self._database.transaction() as session:
                for table in (ExchangeRow, ResponseRow):
                    these = delete(table).where(table.decision_id.in_(doomed))
                    await session.execute(these, execution_options=UNSEEN)
            deleted += len(doomed)
            held[owner] -= freed
            await asyncio.sleep(LEAST_REST_S)
        return deleted

    async def _bytes_by_owner(self) -> dict[str, int]:
        held: dict[str, int] = defaultdict(int)
        async with self._turn, self._database.session() as session:
            for table in (ExchangeRow, ResponseRow):
                sums = select(table.owner, func.sum(table.bytes)).group_by(table.owner)
                for owner, size in await session.execute(sums):
                    held[owner] += int(size)
        return held

    async def _oldest(self, owner: str) -> Sequence[tuple[str, int]]:
        """An owner's oldest exchanges with their responses, then responses without exchanges."""
        room = ExchangeRow.bytes + func.coalesce(ResponseRow.bytes, 0)
        both = ResponseRow.decision_id == ExchangeRow.decision_id
        exchanges = select(ExchangeRow.decision_id, room).outerjoin(ResponseRow, both)
        responses = select(ResponseRow.decision_id, ResponseRow.bytes)
        async with self._turn, self._database.session() as session:
            for kept, table in ((exchanges, ExchangeRow), (responses, ResponseRow)):
                oldest = kept.where(table.owner == owner).order_by(table.created_at).limit(CHUNK)
                if rows := [(name, size) for name, size in await session.execute(oldest)]:
                    return rows
        return []


def equal_share(held: Iterable[int], most: int) -> int:
    """Return the bytes that each owner may keep at least, if all together may keep `most`.

    Those who hold less leave the rest to the others (max-min fairness).
    """
    sizes, left = sorted(held), most
    for place, size in enumerate(sizes):
        share = left // (len(sizes) - place)
        if size > share:
            return share
        left -= size
    return most


def _enough(rows: Iterable[tuple[str, int]], excess: int) -> tuple[list[str], int]:
    """The first rows, at least one, that together free so much, and how much that is."""
    names, freed = [], 0
    for name, size in rows:
        names.append(name)
        freed += size
        if freed >= excess:
            break
    return names, freed
