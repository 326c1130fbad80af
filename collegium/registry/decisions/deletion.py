"""Delete decisions, and keep their usage, which budgets and usage reports still count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Executable, delete, func, select

from collegium.registry.budgets.ledger import TAKEN
from collegium.registry.budgets.limits import COUNTED
from collegium.registry.budgets.usage import Used, added, as_rows, midnight, moved
from collegium.registry.decisions.selection import Selection
from collegium.registry.storage.database import Database
from collegium.registry.tables import (
    DecisionRow,
    DeletedUsageRow,
    OutcomeRow,
    UsageProgressRow,
    UsageRow,
)

UNSEEN = {"synchronize_session": False}
"""The start value: no decision of the same session has been deleted yet."""


class Doomed(NamedTuple):
    """A decision that is to be deleted, and what its answer took."""

    id: str
    application: str | None
    usd: float | None
    created_at: datetime
    owner: str
    team: str | None
    expert: str
    status: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    energy_j: float | None
    latency_ms: float | None
    cached_from: str | None
    saved_usd: float | None
    attempts: Sequence[Mapping[str, Any]] | None
    counted: tuple[int, ...]
    """The usage in the units of budgets, in the order of `COUNTED`."""

    @property
    def used(self) -> Used:
        """The usage as one entry of the usage report."""
        ok = self.status == "ok"
        return Used(
            requests=1,
            errors=int(self.status == "error"),
            cancelled=int(self.status == "cancelled"),
            unpriced=int(self.usd is None),
            timed=int(ok and self.latency_ms is not None),
            prompt_tokens=self.prompt_tokens or 0,
            completion_tokens=self.completion_tokens or 0,
            cost_usd=self.usd or 0.0,
            energy_j=self.energy_j or 0.0,
            latency_ms=(self.latency_ms or 0.0) if ok else 0.0,
            cached=int(self.cached_from is not None),
            saved_usd=self.saved_usd or 0.0,
        )


class Deletion:
    """Deletes decisions with everything that belongs to them, a few per transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        insert = database.insert(DeletedUsageRow)
        old, new = DeletedUsageRow.__table__.c, insert.excluded
        self._add: Executable = insert.on_conflict_do_update(
            index_elements=list(DeletedUsageRow.__table__.primary_key),
            set_={metric: old[metric] + new[metric] for metric in COUNTED},
        )
        self._use: Executable = added(database.insert(UsageRow))

    async def oldest(self, selection: Selection, limit: int) -> Sequence[Doomed]:
        """Return the oldest decisions that are chosen."""
        chosen = (
            select(
                DecisionRow.id,
                DecisionRow.application,
                OutcomeRow.cost_usd,
                DecisionRow.created_at,
                DecisionRow.owner,
                DecisionRow.team,
                func.coalesce(OutcomeRow.expert, DecisionRow.expert),
                OutcomeRow.status,
                OutcomeRow.prompt_tokens,
                OutcomeRow.completion_tokens,
                OutcomeRow.energy_j,
                OutcomeRow.latency_ms,
                OutcomeRow.cached_from,
                OutcomeRow.saved_usd,
                OutcomeRow.attempts,
                *(TAKEN[metric] for metric in COUNTED),
            )
            .join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id, isouter=True)
            .where(*selection.conditions())
            .order_by(DecisionRow.created_at)
            .limit(limit)
        )
        own = len(Doomed._fields) - 1
        async with self._database.session() as session:
            rows: Any = await session.execute(chosen)
            return [Doomed._make((*row[:own], tuple(row[own:]))) for row in rows]

    async def delete(self, doomed: Sequence[Doomed]) -> int:
        """Delete them in one transaction; returns how many were still there."""
        these = delete(DecisionRow).where(DecisionRow.id.in_([each.id for each in doomed]))
        async with self._database.transaction() as session:
            done = await session.execute(these.returning(DecisionRow.id), execution_options=UNSEEN)
            gone = set(done.scalars())  # another replica may have been faster
            deleted = [each for each in doomed if each.id in gone]
            if counted := _by_hour(deleted):
                await session.execute(self._add, counted)
            # Locked: whoever sums up an hour now either sees these rows, or finds them added here.
            progress = select(UsageProgressRow.until).with_for_update()
            until = await session.scalar(progress)
            if young := _by_day([d for d in deleted if until and d.created_at >= until]):
                await session.execute(self._use, young)
        return len(gone)


def _by_hour(deleted: Sequence[Doomed]) -> list[dict[str, Any]]:
    """The usage of the answers, by owner and by the hour of the decision."""
    sums: dict[tuple[str, str, str, datetime], list[int]] = {}
    for each in deleted:
        hour = each.created_at.replace(minute=0, second=0, microsecond=0)
        key = each.owner, each.team or "", each.application or "", hour
        before = sums.get(key, [0] * len(COUNTED))
        sums[key] = [old + int(new) for old, new in zip(before, each.counted, strict=True)]
    names = "owner", "team", "application", "hour", *COUNTED
    # In one order: two replicas that add to the same rows never wait for each other for ever.
    return [dict(zip(names, (*key, *used), strict=True)) for key, used in sorted(sums.items())]


def _by_day(deleted: Sequence[Doomed]) -> list[dict[str, Any]]:
    """The usage of answers that no usage report includes yet."""
    sums: dict[tuple[Any, ...], Used] = {}
    for each in deleted:
        if each.status is None:
            continue
        key = midnight(each.created_at), each.owner, each.application or "", each.expert
        moves = moved(key, each.attempts or (), priced=each.usd is not None)
        for place, used in ((key, each.used), *moves):
            sums[place] = sums.get(place, Used()) + used
    return as_rows(sums)
