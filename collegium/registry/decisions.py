"""The log: what was decided, what came of it, and what people thought of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import joinedload, selectinload

from collegium.errors import DatabaseUnavailable, RegistryError, UnknownDecision
from collegium.registry.database import Database
from collegium.registry.decision_records import (
    VERDICT_SCORES,
    DecisionRecord,
    ExchangeRecord,
    FeedbackRecord,
    LoggedDecision,
    LoggedExchange,
    OutcomeRecord,
    Source,
    Status,
    Verdict,
)
from collegium.registry.group_commit import GroupCommit
from collegium.registry.pages import Order, Page, after_cursor, page_of
from collegium.registry.selection import Selection
from collegium.registry.tables import (
    DecisionRow,
    DeletedCostRow,
    ExchangeRow,
    FeedbackRow,
    OutcomeRow,
    from_row,
    to_columns,
)
from collegium.registry.unwritten import Unwritten

__all__ = [
    "VERDICT_SCORES",
    "DecisionLog",
    "DecisionRecord",
    "ExchangeRecord",
    "FeedbackRecord",
    "LoggedDecision",
    "LoggedExchange",
    "OutcomeRecord",
    "Source",
    "Status",
    "Verdict",
]
log = logging.getLogger(__name__)
INTERRUPTED = "the service ended before the answer did"
LOOKED_BACK = timedelta(days=7)
LONGEST = timedelta(hours=1)
"""No answer takes longer: so that a sum over a time reads the decisions of that time alone."""
MOST_PAGE_ENDS = 100
"""Readings of the log that go on at the same time."""


class DecisionLog:
    """Append decisions, complete them, read them back. What is written together shares a commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = GroupCommit(database)
        self._unwritten = Unwritten(self._write_outcome)
        self._page_ends: dict[tuple[str | None, str], DecisionRecord] = {}
        # Made once: an upsert takes 2 ms to put together.
        self._decision = insert(DecisionRow)
        self._feedback = database.insert(FeedbackRow).on_conflict_do_nothing()
        self._outcome = database.upsert(OutcomeRow)
        self._exchange = database.upsert(ExchangeRow)

    async def record(self, record: DecisionRecord) -> None:
        """Write a decision; when this returns, it outlives a crash of the process."""
        try:
            await self._commits.write(self._decision, to_columns(record))
        except IntegrityError as exc:
            raise RegistryError(f"decision '{record.id}' is refused: {exc.orig}") from exc

    async def finish(self, record: OutcomeRecord) -> None:
        """Write what came of a decision; a second outcome takes the first one's place.

        While the database is away it is kept in memory, and written when that is back.
        """
        try:
            await self._write_outcome(record)
        except DatabaseUnavailable:
            self._unwritten.keep(record)
        else:
            self._unwritten.settled(record.decision_id)

    async def exchange(self, record: ExchangeRecord) -> None:
        """Write what was asked and answered; where that can't be done it is lost, with a warning.

        A copy for later is not worth memory in an outage, nor an answer's time.
        """
        try:
            await self._commits.write(self._exchange, to_columns(record))
        except IntegrityError:
            log.info("the exchange of %s is not kept: it was deleted", record.decision_id)
        except (DatabaseUnavailable, SQLAlchemyError) as exc:
            log.warning("the exchange of %s is lost: %s", record.decision_id, exc)

    async def feedback(self, record: FeedbackRecord) -> None:
        """Write what a person thought of a decision; of two with one id the first one stays."""
        try:
            await self._commits.write(self._feedback, to_columns(record))
        except IntegrityError as exc:
            await self._blame(exc, record.decision_id)

    async def feedback_given(self, feedback_ids: Iterable[str]) -> dict[str, FeedbackRecord]:
        """Return what was said under some hundreds of ids before."""
        given = select(FeedbackRow).where(FeedbackRow.id.in_(feedback_ids))
        async with self._database.session() as session:
            found = [from_row(FeedbackRecord, row) for row in await session.scalars(given)]
        return {each.id: each for each in found}

    async def get(self, decision_id: str, *, owner: str | None = None) -> LoggedDecision:
        """Return one decision with all that is known of it; to an `owner` only its own."""
        found = await self._read(_decisions().where(DecisionRow.id == decision_id))
        if not found or owner not in (None, found[0].decision.owner):
            raise _unknown(decision_id)
        return found[0]

    async def whole(self, decision_id: str, *, owner: str | None = None) -> LoggedExchange:
        """Return one decision with the texts that were kept of it."""
        statement = _decisions().options(joinedload(DecisionRow.exchange))
        async with self._database.session() as session:
            row = await session.scalar(statement.where(DecisionRow.id == decision_id))
        if row is None or owner not in (None, row.owner):
            raise _unknown(decision_id)
        return _learnable(row)

    async def get_all(
        self, decision_ids: Iterable[str], *, owner: str | None = None
    ) -> dict[str, LoggedDecision]:
        """Return those decisions of some hundreds that there are; to an `owner` its own."""
        found = await self._read(_decisions().where(DecisionRow.id.in_(decision_ids)))
        mine = (each for each in found if owner in (None, each.decision.owner))
        return {each.decision.id: each for each in mine}

    async def list(
        self,
        selection: Selection,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Order = "desc",
    ) -> Page[LoggedDecision]:
        """Return one page of decisions, newest first unless told otherwise."""
        cursor = None
        if after is not None:
            cursor = (await self.get(after, owner=selection.owner)).decision
        chosen = _decisions().where(*selection.conditions())
        rows = await page_of(self._database, chosen, DecisionRow, cursor, limit, order)
        return rows.map(_logged)

    async def learnable(
        self,
        *,
        application: str | None = None,
        owner: str | None = None,
        since: datetime | None = None,
        after: str | None = None,
        limit: int = 1000,
    ) -> tuple[LoggedExchange, ...]:
        """Return what learning needs, oldest first: finished decisions of which a text was kept.

        `after` is the id of the last decision of the page before, which may be deleted since. An
        exchange may be as large as a body: ask for small pages where they are.
        """
        asked = DecisionRow.prompt.is_not(None) | DecisionRow.exchange.has()
        chosen = Selection(owner=owner, application=application, since=since).conditions()
        statement = _decisions().options(joinedload(DecisionRow.exchange)).where(asked, *chosen)
        statement = statement.where(DecisionRow.outcome.has())
        if after is not None:
            last = self._page_ends.get((owner, after))
            if last is None:
                last = (await self.get(after, owner=owner)).decision
            statement = statement.where(after_cursor(DecisionRow, last, "asc"))
        oldest = DecisionRow.created_at, DecisionRow.id
        async with self._database.session() as session:
            rows = await session.scalars(statement.order_by(*oldest).limit(limit))
            page = tuple(_learnable(row) for row in rows)
        if page:
            self._remember(owner, page[-1].decision)
        return page

    def _remember(self, owner: str | None, last: DecisionRecord) -> None:
        """Keep the end of a page: the oldest decisions are read first, and deleted first."""
        self._page_ends[owner, last.id] = replace(last, prompt=None, forecasts=())
        if len(self._page_ends) > MOST_PAGE_ENDS:
            del self._page_ends[next(iter(self._page_ends))]

    async def shadowed(self, decision_id: str, shadow: Mapping[str, Any]) -> None:
        """Note what a router that is tried in the shadow would have decided."""
        this = update(DecisionRow).where(DecisionRow.id == decision_id)
        async with self._database.transaction() as session:
            await session.execute(this.values(shadow=dict(shadow)))

    async def rated(self, limit: int) -> tuple[LoggedDecision, ...]:
        """Return the latest decisions whose answers somebody rated and whose queries were kept."""
        scored = DecisionRow.feedback.any(FeedbackRow.score.is_not(None))
        found = _decisions().where(DecisionRow.prompt.is_not(None), scored)
        newest = DecisionRow.created_at.desc(), DecisionRow.id.desc()
        return await self._read(found.order_by(*newest).limit(limit))

    async def recent(self, limit: int = 100) -> tuple[LoggedDecision, ...]:
        """Return the latest decisions, newest first."""
        newest = DecisionRow.created_at.desc(), DecisionRow.id.desc()
        return await self._read(_decisions().order_by(*newest).limit(limit))

    async def outcomes(
        self, *, since: datetime | None = None, limit: int = 10_000
    ) -> tuple[LoggedDecision, ...]:
        """Return what a router can learn from: finished decisions with prompts, oldest first."""
        learnable = _decisions().where(DecisionRow.prompt.is_not(None), DecisionRow.outcome.has())
        if since is not None:
            learnable = learnable.where(DecisionRow.created_at >= since)
        oldest = DecisionRow.created_at, DecisionRow.id
        return await self._read(learnable.order_by(*oldest).limit(limit))

    async def spent(self, since: datetime) -> dict[str, float]:
        """Return what each application's answers cost that have ended since a time.

        Deleted ones count from the beginning of that time's hour on.
        """
        cost = func.sum(OutcomeRow.cost_usd)
        spending = (
            select(DecisionRow.application, cost)
            .join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id)
            .where(DecisionRow.created_at >= since - LONGEST, OutcomeRow.finished_at >= since)
            .where(DecisionRow.application.is_not(None), OutcomeRow.cost_usd > 0)
            .group_by(DecisionRow.application)
        )
        deleted = (
            select(DeletedCostRow.application, func.sum(DeletedCostRow.usd))
            .where(DeletedCostRow.hour > since - timedelta(hours=1))
            .group_by(DeletedCostRow.application)
        )
        sums: dict[str, float] = {}
        async with self._database.session() as session:
            for statement in (spending, deleted):
                for name, usd in await session.execute(statement):
                    sums[str(name)] = sums.get(str(name), 0.0) + (usd or 0.0)
        return sums

    async def mark_interrupted(self, before: datetime) -> int:
        """Say of decisions from before then that have no outcome that they were interrupted.

        An answer that is under way in another process writes its own outcome over that.
        """
        unfinished = (
            select(
                DecisionRow.id,
                literal("error"),
                literal(INTERRUPTED),
                literal(datetime.now(UTC), DecisionRow.created_at.type),
            )
            .join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id, isouter=True)
            .where(OutcomeRow.decision_id.is_(None))
            .where(DecisionRow.created_at < before, DecisionRow.created_at >= before - LOOKED_BACK)
        )
        columns = ["decision_id", "status", "error", "finished_at"]
        marking = self._database.insert(OutcomeRow).from_select(columns, unfinished)
        async with self._database.transaction() as session:
            done: Any = await session.execute(marking.on_conflict_do_nothing())
            return int(done.rowcount)

    async def aclose(self) -> None:
        """Write what is kept, if the database is there."""
        await self._unwritten.aclose()

    async def _write_outcome(self, record: OutcomeRecord) -> None:
        try:
            await self._commits.write(self._outcome, to_columns(record))
        except IntegrityError as exc:
            await self._blame(exc, record.decision_id)

    async def _read(self, statement: Select[DecisionRow]) -> tuple[LoggedDecision, ...]:
        async with self._database.session() as session:
            return tuple(_logged(row) for row in await session.scalars(statement))

    async def _blame(self, refusal: IntegrityError, decision_id: str) -> None:
        """Say why a row was refused: nearly always because there is no such decision."""
        async with self._database.session() as session:
            if await session.get(DecisionRow, decision_id) is None:
                raise _unknown(decision_id) from refusal
        raise RegistryError(
            f"a record of decision '{decision_id}' is refused: {refusal.orig}"
        ) from refusal


def _decisions() -> Select[DecisionRow]:
    return select(DecisionRow).options(
        joinedload(DecisionRow.outcome), selectinload(DecisionRow.feedback)
    )


def _logged(row: DecisionRow) -> LoggedDecision:
    outcome = row.outcome
    return LoggedDecision(
        decision=from_row(DecisionRecord, row),
        outcome=None if outcome is None else from_row(OutcomeRecord, outcome),
        feedback=tuple(from_row(FeedbackRecord, item) for item in row.feedback),
    )


def _learnable(row: DecisionRow) -> LoggedExchange:
    logged, kept = _logged(row), row.exchange
    return LoggedExchange(
        logged.decision,
        logged.outcome,
        logged.feedback,
        request=None if kept is None else json.loads(kept.request),
        answer=None if kept is None or kept.answer is None else json.loads(kept.answer),
    )


def _unknown(decision_id: str) -> UnknownDecision:
    return UnknownDecision(f"no decision has the id '{decision_id}'", param="decision_id")
