"""The data for watching experts: ratings, replays, and the models behind the experts' names."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select

from collegium.registry.clock import utc_now
from collegium.registry.storage.database import Database
from collegium.registry.tables import (
    DecisionRow,
    FeedbackRow,
    OutcomeRow,
    ReplayRow,
    UpstreamRow,
    from_row,
    to_columns,
)

AT_ONCE = 1000
LONGEST = timedelta(hours=1)
"""No answer takes longer, so sums over a period only need to read that period's decisions."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A known prompt that an expert was asked again, and the program's mark of its answer."""

    expert: str
    fingerprint: str
    digest: str
    application: str | None
    score: float
    forecast: float
    """The score that earlier marks on this prompt and on others predict."""
    cost_usd: float | None
    id: str = field(default_factory=lambda: f"rpl_{secrets.token_hex(8)}")
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True)
class Rated:
    """A rating of an answer, and the forecast for its expert."""

    id: str
    created_at: datetime
    score: float
    decision_id: str
    expert: str
    forecasts: tuple[Mapping[str, Any], ...]
    router: str | None
    application: str | None
    owner: str = ""
    """The owner of the rating."""


class WatchRegistry:
    """Reads marks in the order in which they came, and keeps replays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rated(self, since: datetime) -> tuple[Rated, ...]:
        """Return the ratings of single experts' answers since a time, oldest first."""
        found = (
            select(FeedbackRow, DecisionRow, OutcomeRow.expert)
            .join(DecisionRow, DecisionRow.id == FeedbackRow.decision_id)
            .join(OutcomeRow, OutcomeRow.decision_id == FeedbackRow.decision_id, isouter=True)
            .where(FeedbackRow.created_at >= since, FeedbackRow.score.is_not(None))
            .where(DecisionRow.policy != "panel")
            .order_by(FeedbackRow.created_at, FeedbackRow.id)
            .limit(AT_ONCE)
        )
        async with self._database.session() as session:
            rows = await session.execute(found)
            return tuple(
                Rated(
                    said.id,
                    said.created_at,
                    said.score or 0.0,
                    decision.id,
                    answered or decision.expert,
                    tuple(decision.forecasts),
                    decision.router,
                    decision.application,
                    said.owner,
                )
                for said, decision, answered in rows
            )

    async def replayed(self, replay: Replay) -> None:
        """Write a replay."""
        await self._database.write(self._database.insert(ReplayRow), to_columns(replay))

    async def prune(self, before: datetime) -> None:
        """Forget the replays before a time."""
        old = delete(ReplayRow).where(ReplayRow.created_at < before)
        async with self._database.transaction() as session:
            await session.execute(old)

    async def replays(self, since: datetime) -> tuple[Replay, ...]:
        """Return the replays since a time, oldest first."""
        found = select(ReplayRow).where(ReplayRow.created_at >= since)
        oldest = found.order_by(ReplayRow.created_at, ReplayRow.id).limit(AT_ONCE)
        async with self._database.session() as session:
            return tuple(from_row(Replay, row) for row in await session.scalars(oldest))

    async def replaying(self, since: datetime) -> tuple[float, int]:
        """Return the dollars and the number of replays since a time."""
        sums = select(func.sum(ReplayRow.cost_usd), func.count(ReplayRow.id))
        return await self._sums(sums.where(ReplayRow.created_at >= since))

    async def answering(self, since: datetime) -> tuple[float, int]:
        """Return the dollars and the number of all answers that have ended since a time."""
        sums = select(func.sum(OutcomeRow.cost_usd), func.count(OutcomeRow.decision_id)).join(
            DecisionRow, DecisionRow.id == OutcomeRow.decision_id
        )
        recent = DecisionRow.created_at >= since - LONGEST
        return await self._sums(sums.where(recent, OutcomeRow.finished_at >= since))

    async def upstream(self, expert: str) -> tuple[str, str] | None:
        """Return an expert's fingerprint, and the model that its upstream reported."""
        async with self._database.session() as session:
            row = await session.get(UpstreamRow, expert)
            return None if row is None else (row.fingerprint, row.model)

    async def said(self, expert: str, fingerprint: str, model: str) -> None:
        """Record the model that an upstream reported."""
        columns = {
            "expert": expert,
            "fingerprint": fingerprint,
            "model": model,
            "changed_at": utc_now(),
        }
        await self._database.write(self._database.upsert(UpstreamRow), columns)

    async def _sums(self, statement: Any) -> tuple[float, int]:
        async with self._database.session() as session:
            usd, count = (await session.execute(statement)).one()
            return float(usd or 0.0), int(count)
