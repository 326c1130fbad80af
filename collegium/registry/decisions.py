"""The log: what was decided, what came of it, and what people thought of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Select, func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from collegium.errors import DatabaseUnavailable, RegistryError, UnknownDecision
from collegium.registry.database import Database
from collegium.registry.group_commit import GroupCommit
from collegium.registry.tables import DecisionRow, FeedbackRow, OutcomeRow, from_row, to_columns
from collegium.registry.unwritten import Unwritten

Status = Literal["ok", "error", "cancelled"]
Verdict = Literal["good_fit", "underpowered", "overprovisioned", "failed"]
VERDICT_SCORES: Mapping[Verdict, float] = {
    "good_fit": 1.0,
    "overprovisioned": 1.0,  # right, if too dear: the price is for the trade-off to weigh
    "underpowered": 0.0,
    "failed": 0.0,
}
"""What each verdict says of the answer's quality."""
INTERRUPTED = "the service ended before the answer did"
LOOKED_BACK = timedelta(days=7)
LONGEST = timedelta(hours=1)
"""No answer takes longer: so that a sum over a time reads the decisions of that time alone."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision; `prompt` is None where the settings say not to keep queries."""

    id: str
    created_at: datetime
    requested_model: str
    expert: str
    policy: str
    confidence: float
    reason: str
    prompt: str | None = None
    session: str | None = None
    forecasts: Sequence[Any] = ()
    """Whatever msgspec writes as JSON; read back they are mappings."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    propensity: float = 1.0
    """The odds that the expert had; off-policy estimates weigh by it."""
    application: str | None = None
    """The key of the application that the request was found to belong to."""


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """What came of a decision; what nobody measured is None."""

    decision_id: str
    status: Status
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    waited_ms: float | None = None
    """In the expert's queue, which is part of the latency."""
    energy_j: float | None = None
    expert: str | None = None
    """Who answered, where that may not be who was chosen."""
    tried: Sequence[Mapping[str, Any]] | None = None
    """Who else was asked, and why that became nothing."""
    calls: Sequence[Mapping[str, Any]] | None = None
    """Each call of a panel; None of a single answer."""
    finished_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """What a person thought of a decision."""

    id: str
    decision_id: str
    verdict: Verdict
    comment: str | None = None
    created_at: datetime = field(default_factory=_now)
    preferred: str | None = None
    """The expert whose answer the person liked better."""


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision with all that is known of it by now."""

    decision: DecisionRecord
    outcome: OutcomeRecord | None
    feedback: tuple[FeedbackRecord, ...]

    @property
    def answered_by(self) -> str:
        """The expert whose answer this is: the chosen one, unless another took its place."""
        return (self.outcome and self.outcome.expert) or self.decision.expert


class DecisionLog:
    """Append decisions, complete them, read them back. What is written together shares a commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = GroupCommit(database)
        self._unwritten = Unwritten(self._write_outcome)
        # Made once: an upsert takes 2 ms to put together.
        self._decision, self._feedback = insert(DecisionRow), insert(FeedbackRow)
        self._outcome = database.upsert(OutcomeRow)

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

    async def feedback(self, record: FeedbackRecord) -> None:
        """Write what a person thought of a decision."""
        try:
            await self._commits.write(self._feedback, to_columns(record))
        except IntegrityError as exc:
            await self._blame(exc, record.decision_id)

    async def get(self, decision_id: str) -> LoggedDecision:
        """Return one decision with all that is known of it."""
        found = await self._read(_decisions().where(DecisionRow.id == decision_id))
        if not found:
            raise _unknown(decision_id)
        return found[0]

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
        """Return what each application's answers cost that have ended since a time."""
        cost = func.sum(OutcomeRow.cost_usd)
        spending = (
            select(DecisionRow.application, cost)
            .join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id)
            .where(DecisionRow.created_at >= since - LONGEST, OutcomeRow.finished_at >= since)
            .where(DecisionRow.application.is_not(None), OutcomeRow.cost_usd > 0)
            .group_by(DecisionRow.application)
        )
        async with self._database.session() as session:
            found = await session.execute(spending)
            return {str(name): usd or 0.0 for name, usd in found}

    async def mark_interrupted(self, before: datetime) -> int:
        """Say of decisions from before then that have no outcome that they were interrupted.

        An answer that is under way in another process writes its own outcome over that.
        """
        unfinished = (
            select(
                DecisionRow.id,
                literal("error"),
                literal(INTERRUPTED),
                literal(_now(), DecisionRow.created_at.type),
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


def _unknown(decision_id: str) -> UnknownDecision:
    return UnknownDecision(f"no decision has the id '{decision_id}'", param="decision_id")
