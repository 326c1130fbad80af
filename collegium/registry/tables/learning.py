"""Learning runs, router versions, replays and alarms."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from collegium.registry.tables.base import Table


class OnlineStateRow(Table):
    """One row: what ratings have taught the bandit; empty before the first rating."""

    __tablename__ = "online_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(BigInteger())
    card: Mapped[str] = mapped_column(Text())
    arrays: Mapped[bytes]


class LearningRunRow(Table):
    """The columns of `RunRecord`."""

    __tablename__ = "learning_runs"
    __table_args__ = (
        CheckConstraint(
            "status IN ('proposed', 'running', 'finished', 'failed', 'cancelled')", "status"
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    spec: Mapped[dict[str, Any]]
    estimate: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(index=True)
    detail: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    spent_usd: Mapped[float]
    answered: Mapped[int]
    planned: Mapped[int]
    report: Mapped[dict[str, Any] | None]
    router: Mapped[str | None]
    worker: Mapped[str | None]
    leased_until: Mapped[datetime | None]


class LearningPromptRow(Table):
    """The columns of `LearningPrompt`; `decision_id` is not a foreign key, since decisions are
    pruned.
    """

    __tablename__ = "learning_prompts"

    run_id: Mapped[str] = mapped_column(
        ForeignKey("learning_runs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(index=True)
    text: Mapped[str]
    request: Mapped[dict[str, Any]]
    signals: Mapped[dict[str, Any]]
    application: Mapped[str | None]
    reference: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    checker: Mapped[dict[str, Any] | None]
    decision_id: Mapped[str | None] = mapped_column(index=True)


class LearningAnswerRow(Table):
    """The columns of `LearningAnswer`."""

    __tablename__ = "learning_answers"

    run_id: Mapped[str] = mapped_column(
        ForeignKey("learning_runs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    expert: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    answer: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    cost_usd: Mapped[float | None]
    latency_ms: Mapped[float | None]
    logged: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(index=True)


class MarkRow(Table):
    """The columns of `Mark`."""

    __tablename__ = "marks"

    run_id: Mapped[str] = mapped_column(
        ForeignKey("learning_runs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    expert: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    score: Mapped[float]
    reliability: Mapped[float]
    owner: Mapped[str]
    created_at: Mapped[datetime]


class RouterVersionRow(Table):
    """The columns of `RouterVersion`; the arrays are those of the artifact's file."""

    __tablename__ = "router_versions"
    __table_args__ = (
        CheckConstraint(
            "status IN ('candidate', 'shadow', 'canary', 'serving', 'retired', 'rolled_back')",
            "status",
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    owner: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    share: Mapped[float]
    applications: Mapped[list[str]]
    automatic: Mapped[bool]
    served: Mapped[bool]
    detail: Mapped[str]
    run_id: Mapped[str | None]
    report: Mapped[dict[str, Any] | None]
    changed_at: Mapped[datetime]
    card: Mapped[bytes]
    arrays: Mapped[bytes]


class AlarmRow(Table):
    """The columns of `Alarm`; `open_as` is unique: no alarm is raised twice while it is open."""

    __tablename__ = "alarms"
    __table_args__ = (Index("ix_alarms_open_as", "open_as", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    expert: Mapped[str | None]
    router: Mapped[str | None]
    detail: Mapped[str]
    lowered: Mapped[float]
    evidence: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)
    changed_at: Mapped[datetime] = mapped_column(index=True)
    closed_at: Mapped[datetime | None]
    closed_for: Mapped[str]
    open_as: Mapped[str | None]


class ReplayRow(Table):
    """The columns of `Replay`."""

    __tablename__ = "replays"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    expert: Mapped[str]
    fingerprint: Mapped[str]
    digest: Mapped[str]
    application: Mapped[str | None]
    score: Mapped[float]
    forecast: Mapped[float]
    cost_usd: Mapped[float | None]


class UpstreamRow(Table):
    """The model that each expert's upstream reported."""

    __tablename__ = "upstream_models"

    expert: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    model: Mapped[str]
    changed_at: Mapped[datetime]
