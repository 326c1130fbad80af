"""Outcomes that the database could not accept: kept in memory, and written when it is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from collegium.errors import BadRequest, DatabaseUnavailable, RegistryError

log = logging.getLogger(__name__)
MOST = 10_000
"""About 1 KB each; in an outage no new decision begins, so these are the answers under way."""
FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0


class OfDecision(Protocol):
    """A record that belongs to one decision."""

    @property
    def decision_id(self) -> str: ...


Record = TypeVar("Record", bound=OfDecision)


class Unwritten(Generic[Record]):
    """Tries again after 1, 2, 4 … 30 s, oldest first. `write` raises DatabaseUnavailable."""

    def __init__(
        self,
        write: Callable[[Record], Awaitable[None]],
        *,
        most: int = MOST,
        first_rest_s: float = FIRST_REST_S,
    ) -> None:
        self._write = write
        self._most = most
        self._first_rest_s = first_rest_s
        self._kept: dict[str, Record] = {}
        self._dropped = 0
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, record: Record) -> None:
        """Keep an outcome, replacing an older one of its decision; if memory is full the oldest is
        dropped.
        """
        if not self._kept:
            log.warning("the database is away: outcomes are kept in memory until it is back")
        self.settled(record.decision_id)
        self._kept[record.decision_id] = record
        if len(self._kept) > self._most:
            if not self._dropped:
                log.error("more than %d outcomes are kept: the oldest are lost", self._most)
            self._dropped += 1
            del self._kept[next(iter(self._kept))]
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="kept outcomes")

    def settled(self, decision_id: str) -> None:
        """A decision has a newer outcome than the one that is kept."""
        self._kept.pop(decision_id, None)

    async def aclose(self) -> None:
        """Try once more, and say how many are lost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._kept and not await self._written():
            log.error("%d outcomes are lost: the database is still away", len(self._kept))

    async def _work(self) -> None:
        rest_s = self._first_rest_s
        while self._kept:
            await asyncio.sleep(rest_s)
            rest_s = (
                self._first_rest_s if await self._written() else min(2 * rest_s, LONGEST_REST_S)
            )
        log.warning("the database is back, the kept outcomes are written")
        self._dropped = 0

    async def _written(self) -> bool:
        """Write the rows kept in memory; return False if the database is still unavailable."""
        for record in list(self._kept.values()):
            try:
                await self._write(record)
            except DatabaseUnavailable:
                return False
            except (RegistryError, BadRequest, SQLAlchemyError) as exc:
                log.error("the outcome of %s is lost: %s", record.decision_id, exc)
            if self._kept.get(record.decision_id) is record:
                self.settled(record.decision_id)
        return True
