"""The tables as SQLAlchemy sees them; `migrations/` is what makes them, a test compares the two."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from collegium.registry.column_types import AnyText, UtcDateTime, columns_of
from collegium.registry.engine import Engine

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")


class Table(DeclarativeBase):
    """Base of all tables: which Python type is which column, and what constraints are called.

    Plain JSON rather than JSONB: it keeps the keys' order and any escape a caller can send.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it so)
        str: AnyText(),
        float: Double(),
        datetime: UtcDateTime(),
        bytes: LargeBinary(),
        dict[str, Any]: JSON(),
        list[dict[str, Any]]: JSON(),
        list[str]: JSON(),
    }


class RevisionRow(Table):
    """One row, which every change of the experts bumps and so locks."""

    __tablename__ = "registry_revision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]


class SeedRow(Table):
    """A source whose experts were registered once; what people did to them since is theirs."""

    __tablename__ = "seeds"

    source: Mapped[str] = mapped_column(primary_key=True)
    seeded_at: Mapped[datetime]


class ExpertRow(Table):
    """The columns of `Expert`."""

    __tablename__ = "experts"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    model: Mapped[str]
    engine: Mapped[str | None]
    base_url: Mapped[str | None]
    adapter: Mapped[str | None]
    api_key_env: Mapped[str | None]
    description: Mapped[str]
    skills: Mapped[dict[str, Any]]
    input_price: Mapped[float | None]
    output_price: Mapped[float | None]
    context_window: Mapped[int]
    generalist: Mapped[bool]
    enabled: Mapped[bool]
    version: Mapped[int]
    tags: Mapped[list[str]]
    prior: Mapped[float | None]
    parameters_b: Mapped[float | None]
    preset: Mapped[dict[str, Any] | None]


class EngineRow(Table):
    """The fields of `Engine`."""

    __table__ = sqlalchemy.Table(
        "engine_descriptions", Table.metadata, *columns_of(Engine, key="name")
    )


class ApplicationRow(Table):
    """The columns of `Application`, and when somebody changed it, for replicas to follow."""

    __tablename__ = "applications"

    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    tenant: Mapped[str]
    tagged: Mapped[bool]
    text: Mapped[str]
    signature: Mapped[bytes]
    seen: Mapped[int] = mapped_column(BigInteger())
    variants: Mapped[int]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    merged_into: Mapped[str | None]
    pinned: Mapped[bool]
    policy: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime] = mapped_column(index=True)


class DecisionRow(Table):
    """The columns of `DecisionRecord`; `expert` is no foreign key, for the log outlives experts."""

    __tablename__ = "decisions"
    __table_args__ = (
        Index(None, "owner", "created_at"),
        Index(None, "application", "created_at"),
        Index(None, "session", "created_at"),
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

    outcome: Mapped[OutcomeRow | None] = relationship(lazy="raise", viewonly=True)
    feedback: Mapped[list[FeedbackRow]] = relationship(
        lazy="raise", viewonly=True, order_by="FeedbackRow.created_at, FeedbackRow.id"
    )
    exchange: Mapped[ExchangeRow | None] = relationship(lazy="raise", viewonly=True)


class OutcomeRow(Table):
    """The columns of `OutcomeRecord`: at most one row a decision."""

    __tablename__ = "outcomes"
    __table_args__ = (CheckConstraint("status IN ('ok', 'error', 'cancelled')", "status"),)

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
    finished_at: Mapped[datetime]


class DeletedCostRow(Table):
    """What deleted answers of an application cost that ended within one hour."""

    __tablename__ = "deleted_costs"

    application: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    usd: Mapped[float]


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
    """The columns of `ExchangeRecord`; the texts come last, for they may be long."""

    __tablename__ = "exchanges"
    __table_args__ = (Index(None, "created_at", "bytes"),)

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


class FileRow(Table):
    """The columns of `FileRecord`; the bytes lie in the file store under the same id."""

    __tablename__ = "files"
    __table_args__ = (Index("ix_files_owner", "owner", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger())
    created_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime | None]
    owner: Mapped[str]


class BatchRow(Table):
    """The columns of `BatchRecord`; files are no foreign keys, for jobs outlive their files."""

    __tablename__ = "batches"
    __table_args__ = (
        CheckConstraint(
            "status IN ('validating', 'failed', 'in_progress', 'finalizing', 'completed', "
            "'expired', 'cancelling', 'cancelled')",
            "status",
        ),
        Index("ix_batches_owner", "owner", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    endpoint: Mapped[str]
    input_file_id: Mapped[str]
    completion_window: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]
    in_progress_at: Mapped[datetime | None]
    finalizing_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    expired_at: Mapped[datetime | None]
    cancelling_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    output_file_id: Mapped[str | None]
    error_file_id: Mapped[str | None]
    errors: Mapped[list[dict[str, Any]]]
    total: Mapped[int]
    completed: Mapped[int]
    failed: Mapped[int]
    notes: Mapped[dict[str, Any]]
    routing: Mapped[dict[str, Any]]
    money: Mapped[dict[str, Any] | None]
    owner: Mapped[str]


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
    """The columns of `LearningPrompt`; `decision_id` is no foreign key: it may be pruned."""

    __tablename__ = "learning_prompts"

    run_id: Mapped[str] = mapped_column(
        ForeignKey("learning_runs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str]
    text: Mapped[str]
    request: Mapped[dict[str, Any]]
    signals: Mapped[dict[str, Any]]
    application: Mapped[str | None]
    reference: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    checker: Mapped[dict[str, Any] | None]
    decision_id: Mapped[str | None]


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
    """Which model each expert's upstream has said that it is."""

    __tablename__ = "upstream_models"

    expert: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    model: Mapped[str]
    changed_at: Mapped[datetime]


class LeaseRow(Table):
    """Who of several replicas does something that only one may do, and until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[datetime]


def to_columns(value: DataclassInstance) -> dict[str, Any]:
    """Return a value's fields as a row's columns."""
    return {f.name: getattr(value, f.name) for f in fields(value)}


def from_row(kind: type[Value], row: Table) -> Value:
    """Make a value of the row's columns, which bear its fields' names; values hold no lists."""
    columns = {f.name: getattr(row, f.name) for f in fields(kind)}
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in columns.items()})
