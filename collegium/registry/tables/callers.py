"""Sources of requests: keys, teams and applications."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from collegium.registry.tables.base import Table


class TeamRow(Table):
    """The columns of `Team`."""

    __tablename__ = "teams"

    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]
    allowed_experts: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    allowed_applications: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    created_at: Mapped[datetime]


class KeyRow(Table):
    """The columns of `Key`, its name while it is reserved, and the revision of its last change."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("role IN ('operator', 'team-lead', 'caller', 'read-only')", "role"),
        Index("ix_api_keys_live_name", "live_name", unique=True),
        Index("ix_api_keys_hash", "hash", unique=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    live_name: Mapped[str | None]
    hash: Mapped[bytes]
    prefix: Mapped[str]
    last_four: Mapped[str]
    role: Mapped[str]
    team: Mapped[str | None] = mapped_column(ForeignKey("teams.name"), index=True)
    description: Mapped[str]
    allowed_experts: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    allowed_applications: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    created_by: Mapped[str]
    rotated_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    former_hash: Mapped[bytes | None]
    former_until: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(index=True)
    """The keys' revision when this one last changed; newer ones are read again."""


class ApplicationRow(Table):
    """The columns of `Application`, and when an operator last changed it, for other replicas."""

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
