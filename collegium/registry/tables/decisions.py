"""Decisions, outcomes, feedback, exchanges and responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from collegium.registry.tables.base import Table


class DecisionRow(Table):
    """The columns of `DecisionRecord`; `expert` is not a foreign key, since the log outlives
    experts.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        Index(None, "owner", "created_at"),
        Index(None, "application", "created_at"),
        Index(None, "team", "created_at"),
        Index(None, "session", "created_at"),
        Index(None, "expert", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    requested_model: Mapped[str]
    expert: Mapped[str]
    policy: Mapped[str]
    confidence: Mapped[float]
    reason: Mapped[str]
    prompt: Mapped[str | None]
    session: Mapped[str | None]
    forecasts: Mapped[list[dict[str, Any]]]
    limits: Mapped[dict[str, Any]]
    propensity: Mapped[float] = mapped_column(server_default="1.0")
    application: Mapped[str | None]
    router: Mapped[str | None]
    shadow: Mapped[dict[str, Any] | None]
    owner: Mapped[str]
    team: Mapped[str | None]
    reserved_usd: Mapped[int | None] = mapped_column(BigInteger())
    reserved_tokens: Mapped[int | None] = mapped_column(BigInteger())
    reserved_joules: Mapped[int | None] = mapped_column(BigInteger())

    outcome: Mapped[OutcomeRow | None] = relationship(lazy="raise", viewonly=True)
    feedback: Mapped[list[FeedbackRow]] = relationship(
        lazy="raise", viewonly=True, order_by="FeedbackRow.created_at, FeedbackRow.id"
    )
    exchange: Mapped[ExchangeRow | None] = relationship(lazy="raise", viewonly=True)


def _of_failed(column: str) -> Index:
    """An index that lists failed outcomes by one of the columns copied from their decisions."""
    where = text(f"{column} IS NOT NULL")
    sorted_by = ("status", "finished_at", "decision_id")
    return Index(None, column, *sorted_by, postgresql_where=where, sqlite_where=where)


class OutcomeRow(Table):
    """The columns of `OutcomeRecord`: at most one row a decision.

    Those that failed have copies of some columns of their decisions. Failures are few, and sorted
    by their ends: to find one owner's among 50,000, PostgreSQL read each one's decision.
    """

    __tablename__ = "outcomes"
    __table_args__ = (
        CheckConstraint("status IN ('ok', 'error', 'cancelled')", "status"),
        Index(None, "status", "finished_at"),
        _of_failed("failed_owner"),
        _of_failed("failed_application"),
        _of_failed("failed_expert"),
    )

    decision_id: Mapped[str] = mapped_column(
        ForeignKey("decisions.id", ondelete="CASCADE"), primary_key=True
    )
    status: Mapped[str]
    error: Mapped[str | None]
    expert: Mapped[str | None]
    tried: Mapped[list[dict[str, Any]] | None]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    cost_usd: Mapped[float | None]
    latency_ms: Mapped[float | None]
    ttft_ms: Mapped[float | None]
    waited_ms: Mapped[float | None]
    energy_j: Mapped[float | None]
    calls: Mapped[list[dict[str, Any]] | None]
    cached_tokens: Mapped[int | None]
    cache_write_tokens: Mapped[int | None]
    reasoning_tokens: Mapped[int | None]
    estimated: Mapped[bool | None]
    attempts_usd: Mapped[float | None]
    attempts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    cached_from: Mapped[str | None]
    saved_usd: Mapped[float | None]
    finished_at: Mapped[datetime]
    failed_owner: Mapped[str | None]
    failed_application: Mapped[str | None]
    failed_expert: Mapped[str | None]
    """The chosen expert."""


class FeedbackRow(Table):
    """The columns of `FeedbackRecord`: any number of rows a decision."""

    __tablename__ = "feedback"
    __table_args__ = (
        CheckConstraint(
            "verdict IN ('good_fit', 'underpowered', 'overprovisioned', 'failed')", "verdict"
        ),
        CheckConstraint("source IN ('rating', 'preferred', 'regenerate', 'ask_another')", "source"),
        CheckConstraint("score BETWEEN 0 AND 1", "score"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    decision_id: Mapped[str] = mapped_column(
        ForeignKey("decisions.id", ondelete="CASCADE"), index=True
    )
    verdict: Mapped[str | None]
    comment: Mapped[str | None]
    preferred: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    owner: Mapped[str]
    source: Mapped[str]
    score: Mapped[float | None]


class ExchangeRow(Table):
    """The columns of `ExchangeRecord`; the texts come last, since they may be long."""

    __tablename__ = "exchanges"
    __table_args__ = (Index(None, "owner", "created_at", "bytes"),)

    decision_id: Mapped[str] = mapped_column(
        ForeignKey("decisions.id", ondelete="CASCADE"), primary_key=True
    )
    owner: Mapped[str]
    application: Mapped[str | None]
    session: Mapped[str | None]
    bytes: Mapped[int] = mapped_column(BigInteger())
    created_at: Mapped[datetime]
    request: Mapped[str] = mapped_column(Text())
    answer: Mapped[str | None] = mapped_column(Text())


class ResponseRow(Table):
    """The columns of `ResponseRecord`; the texts come last, since they may be long."""

    __tablename__ = "responses"
    __table_args__ = (Index(None, "owner", "created_at", "bytes"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    decision_id: Mapped[str] = mapped_column(
        ForeignKey("decisions.id", ondelete="CASCADE"), index=True
    )
    owner: Mapped[str]
    earlier: Mapped[list[str]]
    bytes: Mapped[int] = mapped_column(BigInteger())
    created_at: Mapped[datetime]
    input: Mapped[str] = mapped_column(Text())
    response: Mapped[str] = mapped_column(Text())
