"""Delete some decisions, and remember what their answers cost: budgets count that all the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Executable, delete, select

from collegium.registry.database import Database
from collegium.registry.selection import Selection
from collegium.registry.tables import DecisionRow, DeletedCostRow, OutcomeRow

UNSEEN = {"synchronize_session": False}
"""Nothing that is deleted was read before in the same session."""


class Doomed(NamedTuple):
    """A decision that is to be deleted, and what its answer cost."""

    id: str
    application: str | None
    usd: float | None
    finished_at: datetime | None


class Deletion:
    """Deletes decisions with all that hangs on them, a few in a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        insert = database.insert(DeletedCostRow)
        old, new = DeletedCostRow.__table__.c, insert.excluded
        self._add: Executable = insert.on_conflict_do_update(
            index_elements=[old.application, old.hour], set_={"usd": old.usd + new.usd}
        )

    async def oldest(self, selection: Selection, limit: int) -> Sequence[Doomed]:
        """Return the oldest decisions that are chosen."""
        chosen = (
            select(
                DecisionRow.id,
                DecisionRow.application,
                OutcomeRow.cost_usd,
                OutcomeRow.finished_at,
            )
            .join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id, isouter=True)
            .where(*selection.conditions())
            .order_by(DecisionRow.created_at)
            .limit(limit)
        )
        async with self._database.session() as session:
            return [Doomed(*row) for row in await session.execute(chosen)]

    async def delete(self, doomed: Sequence[Doomed]) -> int:
        """Delete them in one transaction; returns how many were still there."""
        these = delete(DecisionRow).where(DecisionRow.id.in_([each.id for each in doomed]))
        async with self._database.transaction() as session:
            done = await session.execute(these.returning(DecisionRow.id), execution_options=UNSEEN)
            gone = set(done.scalars())  # another replica may have been faster
            if costs := _by_hour([each for each in doomed if each.id in gone]):
                await session.execute(self._add, costs)
        return len(gone)


def _by_hour(deleted: Sequence[Doomed]) -> list[dict[str, Any]]:
    """What applications' answers cost, by the hour in which they ended."""
    sums: dict[tuple[str, datetime], float] = {}
    for _, application, usd, finished_at in deleted:
        if application is not None and usd and finished_at is not None:
            key = application, finished_at.replace(minute=0, second=0, microsecond=0)
            sums[key] = sums.get(key, 0.0) + usd
    # In one order: two replicas that add to the same rows never wait for each other for ever.
    return [{"application": a, "hour": h, "usd": usd} for (a, h), usd in sorted(sums.items())]
