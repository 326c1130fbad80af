"""The state learnt from ratings, in the database for all replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select, update

from collegium.registry.storage.database import Database
from collegium.registry.tables import OnlineStateRow, from_row


@dataclass(frozen=True, slots=True)
class Learnt:
    """One revision of the state: a card in JSON and arrays; both are empty at first."""

    revision: int
    card: str
    arrays: bytes


class OnlineState:
    """The state, which replicas change one after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        """The number of changes so far."""
        return await self._database.number("SELECT revision FROM online_state")

    async def get(self) -> Learnt:
        """Return the current state."""
        async with self._database.session() as session:
            return from_row(Learnt, (await session.scalars(select(OnlineStateRow))).one())

    async def change(self, step: Callable[[Learnt], tuple[str, bytes]]) -> int:
        """Apply `step` to the state, write the new card and arrays, and return the revision.

        The row is locked meanwhile, so `step` sees every earlier change.
        """
        counted = update(OnlineStateRow).values(revision=OnlineStateRow.revision + 1)
        async with self._database.transaction() as session:
            await session.execute(counted)
            learnt = from_row(Learnt, (await session.scalars(select(OnlineStateRow))).one())
            card, arrays = step(learnt)
            await session.execute(update(OnlineStateRow).values(card=card, arrays=arrays))
        return learnt.revision
