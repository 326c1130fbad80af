"""Usage according to the log: the actual usage of ended decisions, and what open ones have
reserved.

All amounts are in whole nano-dollars, tokens, millijoules and requests. A decision counts in the
window in which it was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, func, literal, select, update

from collegium.registry.budgets.limits import MILLI, NANO, Counted, Scope
from collegium.registry.decisions.records import OutcomeRecord
from collegium.registry.storage.database import Database
from collegium.registry.tables import DecisionRow, DeletedUsageRow, OutcomeRow

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Amounts:
    """What a request has used, or may use at most."""

    usd: int = 0
    """Nano-dollars."""
    tokens: int = 0
    joules: int = 0
    """Millijoules."""
    requests: int = 1

    def __add__(self, other: Amounts) -> Amounts:
        """Add amounts of the same request: it still counts as one."""
        tokens, joules = self.tokens + other.tokens, self.joules + other.joules
        return Amounts(self.usd + other.usd, tokens, joules, self.requests)


def taken(record: OutcomeRecord, held: Amounts) -> Amounts:
    """The usage that an outcome reports, or what was reserved where it doesn't report any."""
    usd, energy = record.cost_usd, record.energy_j
    tokens = record.prompt_tokens
    return Amounts(
        held.usd if usd is None else round(NANO * usd),
        held.tokens if tokens is None else tokens + (record.completion_tokens or 0),
        held.joules if energy is None else round(MILLI * energy),
    )


class BudgetLedger:
    """Sums of usage over the log, and the usage of single decisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used(
        self,
        scope: Scope,
        names: Sequence[str],
        metric: Counted,
        since: datetime,
        until: datetime | None = None,
        *,
        but: Sequence[str] = (),
    ) -> int:
        """Return what was used from a time on, without the decisions of some ids.

        Of deleted decisions only whole hours are known: that of `since` counts as a whole.
        """
        column, deleted = _COLUMNS[scope]
        chosen = [column.in_(names), DecisionRow.created_at >= since]
        if until is not None:
            chosen.append(DecisionRow.created_at < until)
        if but:
            chosen.append(DecisionRow.id.not_in(but))
        joined = OutcomeRow.decision_id == DecisionRow.id
        log = select(func.sum(TAKEN[metric])).select_from(DecisionRow)
        log = log.join(OutcomeRow, joined, isouter=True).where(*chosen)
        gone = select(func.sum(getattr(DeletedUsageRow, metric))).where(
            deleted.in_(names), DeletedUsageRow.hour > since - HOUR
        )
        if until is not None:
            gone = gone.where(DeletedUsageRow.hour < until)
        async with self._database.session() as session:
            return sum([int(await session.scalar(each) or 0) for each in (log, gone)])

    async def taken(self, decisions: Iterable[str]) -> Mapping[str, Amounts]:
        """Return the usage of decisions, or their reservations if they are open; unknown ids are
        omitted.
        """
        metrics: tuple[Counted, ...] = ("usd", "tokens", "joules")
        joined = OutcomeRow.decision_id == DecisionRow.id
        found = (
            select(DecisionRow.id, *(TAKEN[metric] for metric in metrics))
            .join(OutcomeRow, joined, isouter=True)
            .where(DecisionRow.id.in_(list(decisions)))
        )
        async with self._database.session() as session:
            return {row[0]: Amounts(*map(int, row[1:])) for row in await session.execute(found)}

    async def holds(self, decision: str, held: Amounts) -> None:
        """Write that a decision may take more than was reserved for it at first."""
        this = update(DecisionRow).where(DecisionRow.id == decision)
        more = this.values(
            reserved_usd=held.usd, reserved_tokens=held.tokens, reserved_joules=held.joules
        )
        async with self._database.transaction() as session:
            await session.execute(more)


def _whole(value: Any, unit: int) -> ColumnElement[int]:
    return cast(func.round(value * unit), BigInteger)


_COLUMNS: Mapping[Scope, tuple[Any, Any]] = {
    "key": (DecisionRow.owner, DeletedUsageRow.owner),
    "team": (DecisionRow.team, DeletedUsageRow.team),
    "application": (DecisionRow.application, DeletedUsageRow.application),
}
_TOKENS = OutcomeRow.prompt_tokens + func.coalesce(OutcomeRow.completion_tokens, 0)
TAKEN: Mapping[Counted, Any] = {
    "usd": func.coalesce(_whole(OutcomeRow.cost_usd, NANO), DecisionRow.reserved_usd, 0),
    "tokens": func.coalesce(cast(_TOKENS, BigInteger), DecisionRow.reserved_tokens, 0),
    "joules": func.coalesce(_whole(OutcomeRow.energy_j, MILLI), DecisionRow.reserved_joules, 0),
    "requests": literal(1),
}
