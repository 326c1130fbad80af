"""The log of decisions, their outcomes and their feedback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    ScalarSelect,
    Select,
    bindparam,
    cast,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, joinedload, selectinload

from collegium.errors import DatabaseUnavailable, RegistryError, UnknownDecision
from collegium.registry.budgets.limits import NANO
from collegium.registry.decisions.records import (
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
from collegium.registry.decisions.selection import Selection, nearest
from collegium.registry.decisions.unwritten import Unwritten
from collegium.registry.storage.database import Database
from collegium.registry.storage.group_commit import GroupCommit
from collegium.registry.storage.pages import (
    Dated,
    Order,
    Page,
    Scope,
    Sorted,
    after_cursor,
    page_of,
    within,
)
from collegium.registry.tables import (
    DecisionRow,
    ExchangeRow,
    FeedbackRow,
    OutcomeRow,
    from_row,
    to_columns,
)

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
MOST_PAGE_ENDS = 100
"""Readings of the log that go on at the same time."""


class DecisionLog:
    """Append decisions, complete them, read them back. What is written together shares a commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = GroupCommit(database)
        self._unwritten = Unwritten(self._write_outcome)
        self._page_ends: dict[str, DecisionRecord] = {}
        # Made once: an upsert takes 2 ms to put together.
        self._decision = insert(DecisionRow)
        self._feedback = database.insert(FeedbackRow).on_conflict_do_nothing()
        self._outcome = database.upsert(OutcomeRow)
        self._failed_outcome = self._outcome.values(FAILED)
        self._exchange = database.upsert(ExchangeRow)

    async def record(self, record: DecisionRecord) -> None:
        """Write a decision; when this returns, it outlives a crash of the process."""
        try:
            await self._commits.write(self._decision, to_columns(record))
        except IntegrityError as exc:
            raise RegistryError(
                f"decision '{record.id}' was rejected by the database: {exc.orig}"
            ) from exc

    async def finish(self, record: OutcomeRecord) -> None:
        """Write the outcome of a decision; a second outcome replaces the first one.

        While the database is unavailable, it is kept in memory and written later.
        """
        try:
            await self._write_outcome(record)
        except DatabaseUnavailable:
            self._unwritten.keep(record)
        else:
            self._unwritten.settled(record.decision_id)

    async def exchange(self, record: ExchangeRecord) -> None:
        """Write a request and its answer; if that fails it is dropped, with a warning.

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
        """Return the feedback stored under up to some hundreds of ids."""
        given = select(FeedbackRow).where(FeedbackRow.id.in_(feedback_ids))
        async with self._database.session() as session:
            found = [from_row(FeedbackRecord, row) for row in await session.scalars(given)]
        return {each.id: each for each in found}

    async def get(self, decision_id: str, *, scope: Scope = None) -> LoggedDecision:
        """Return one decision with all that is known of it, if it is within the scope."""
        found = await self._read(_decisions().where(DecisionRow.id == decision_id))
        if not found or not within(scope, found[0].decision.owner):
            raise _unknown(decision_id)
        return found[0]

    async def whole(self, decision_id: str, *, scope: Scope = None) -> LoggedExchange:
        """Return one decision with the texts that were kept of it."""
        statement = _decisions().options(joinedload(DecisionRow.exchange))
        async with self._database.session() as session:
            row = await session.scalar(statement.where(DecisionRow.id == decision_id))
        if row is None or not within(scope, row.owner):
            raise _unknown(decision_id)
        return _learnable(row)

    async def get_all(
        self, decision_ids: Iterable[str], *, scope: Scope = None
    ) -> dict[str, LoggedDecision]:
        """Return those decisions of some hundreds that there are within the scope."""
        found = await self._read(_decisions().where(DecisionRow.id.in_(decision_ids)))
        mine = (each for each in found if within(scope, each.decision.owner))
        return {each.decision.id: each for each in mine}

    async def list(
        self,
        selection: Selection,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Order = "desc",
    ) -> Page[LoggedDecision]:
        """Return one page of decisions, newest first by default."""
        last = None if after is None else await self.get(after, scope=selection.visible)
        chosen: Any = _decisions().where(*selection.conditions())
        table: Any = DecisionRow
        cursor: Dated | None = None if last is None else last.decision
        if selection.by_end:
            chosen = chosen.join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id)
            table = Sorted(OutcomeRow.finished_at, OutcomeRow.decision_id)
            cursor = last if last is None else Sorted(last.ended_at, last.decision.id)
        elif selection.is_of_several:
            near = nearest(selection, cursor, limit + 1, order)
            chosen = _decisions().where(DecisionRow.id.in_(near))
        rows = await page_of(self._database, chosen, table, cursor, limit, order)
        return rows.map(_logged)

    async def learnable(
        self,
        *,
        application: str | None = None,
        since: datetime | None = None,
        after: str | None = None,
        limit: int = 1000,
    ) -> tuple[LoggedExchange, ...]:
        """Return what learning needs, oldest first: finished decisions of which a text was kept.

        `after` is the id of the last decision of the page before, which may be deleted since. An
        exchange may be as large as a body: ask for small pages where they are.
        """
        asked = DecisionRow.prompt.is_not(None) | DecisionRow.exchange.has()
        chosen = Selection(application=application, since=since).conditions()
        statement = _decisions().options(joinedload(DecisionRow.exchange)).where(asked, *chosen)
        statement = statement.where(DecisionRow.outcome.has())
        if after is not None:
            last = self._page_ends.get(after)
            if last is None:
                last = (await self.get(after)).decision
            statement = statement.where(after_cursor(DecisionRow, last, "asc"))
        oldest = DecisionRow.created_at, DecisionRow.id
        async with self._database.session() as session:
            rows = await session.scalars(statement.order_by(*oldest).limit(limit))
            page = tuple(_learnable(row) for row in rows)
        if page:
            self._remember(page[-1].decision)
        return page

    def _remember(self, last: DecisionRecord) -> None:
        """Keep the end of a page: the oldest decisions are read first, and deleted first."""
        self._page_ends[last.id] = replace(last, prompt=None, forecasts=())
        if len(self._page_ends) > MOST_PAGE_ENDS:
            del self._page_ends[next(iter(self._page_ends))]

    async def shadowed(self, decision_id: str, shadow: Mapping[str, Any]) -> None:
        """Note what a router that is tried in the shadow would have decided."""
        this = update(DecisionRow).where(DecisionRow.id == decision_id)
        async with self._database.transaction() as session:
            await session.execute(this.values(shadow=dict(shadow)))

    async def rated(self, limit: int) -> tuple[LoggedDecision, ...]:
        """Return the latest rated decisions whose queries were recorded."""
        scored = DecisionRow.feedback.any(FeedbackRow.score.is_not(None))
        found = _decisions().where(DecisionRow.prompt.is_not(None), scored)
        newest = DecisionRow.created_at.desc(), DecisionRow.id.desc()
        return await self._read(found.order_by(*newest).limit(limit))

    async def recent(self, limit: int = 100) -> tuple[LoggedDecision, ...]:
        """Return the latest decisions, newest first."""
        newest = DecisionRow.created_at.desc(), DecisionRow.id.desc()
        return await self._read(_decisions().order_by(*newest).limit(limit))

    async def outcomes(self, limit: int = 10_000) -> tuple[LoggedDecision, ...]:
        """Return what a router can learn from: finished decisions with prompts, oldest first."""
        learnable = _decisions().where(DecisionRow.prompt.is_not(None), DecisionRow.outcome.has())
        oldest = DecisionRow.created_at, DecisionRow.id
        return await self._read(learnable.order_by(*oldest).limit(limit))

    async def mark_interrupted(self, before: datetime) -> int:
        """Say of decisions from before then that have no outcome that they were interrupted.

        An answer that is under way in another process writes its own outcome over that.
        """
        recent = DecisionRow.created_at < before, DecisionRow.created_at >= before - LOOKED_BACK
        return await self._interrupt(*recent)

    async def interrupt(self, decision_ids: Iterable[str]) -> int:
        """Say of those decisions that have no outcome that they were interrupted."""
        return await self._interrupt(DecisionRow.id.in_(list(decision_ids)))

    async def _interrupt(self, *chosen: ColumnElement[bool]) -> int:
        """Mark open decisions as interrupted: what was billed is unknown, so they cost what was
        reserved.
        """
        values: dict[str, Any] = {
            "decision_id": DecisionRow.id,
            "status": literal("error"),
            "error": literal(INTERRUPTED),
            "finished_at": literal(datetime.now(UTC), DecisionRow.created_at.type),
            "cost_usd": cast(DecisionRow.reserved_usd, Double) / float(NANO),
            "estimated": DecisionRow.reserved_usd.is_not(None),
            "failed_owner": DecisionRow.owner,
            "failed_application": DecisionRow.application,
            "failed_expert": DecisionRow.expert,
        }
        unfinished = (
            select(*values.values())
            .join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id, isouter=True)
            .where(OutcomeRow.decision_id.is_(None), *chosen)
        )
        marking = self._database.insert(OutcomeRow).from_select(list(values), unfinished)
        async with self._database.transaction() as session:
            done: Any = await session.execute(marking.on_conflict_do_nothing())
            return int(done.rowcount)

    async def aclose(self) -> None:
        """Write the outcomes kept in memory, if the database is available."""
        await self._unwritten.aclose()

    async def _write_outcome(self, record: OutcomeRecord) -> None:
        try:
            if record.status == "ok":
                await self._commits.write(self._outcome, to_columns(record))
            else:
                columns = to_columns(record) | {OF: record.decision_id}
                await self._commits.write(self._failed_outcome, columns)
        except IntegrityError as exc:
            await self._blame(exc, record.decision_id)

    async def _read(self, statement: Select[DecisionRow]) -> tuple[LoggedDecision, ...]:
        async with self._database.session() as session:
            return tuple(_logged(row) for row in await session.scalars(statement))

    async def _blame(self, refusal: IntegrityError, decision_id: str) -> None:
        """Explain why a row was rejected: nearly always there is no such decision."""
        async with self._database.session() as session:
            if await session.get(DecisionRow, decision_id) is None:
                raise _unknown(decision_id) from refusal
        raise RegistryError(
            f"a record of decision '{decision_id}' was rejected by the database: {refusal.orig}"
        ) from refusal


OF = "of"
"""The parameter of a failed outcome's decision."""


def _copied(column: InstrumentedAttribute[Any]) -> ScalarSelect[Any]:
    """A column of the decision that a failed outcome belongs to."""
    return select(column).where(DecisionRow.id == bindparam(OF)).scalar_subquery()


FAILED = {
    "failed_owner": _copied(DecisionRow.owner),
    "failed_application": _copied(DecisionRow.application),
    "failed_expert": _copied(DecisionRow.expert),
}


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
