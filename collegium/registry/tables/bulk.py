"""Bulk jobs and their files."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from collegium.registry.tables.base import Table


class FileRow(Table):
    """The columns of `FileRecord`; the contents are in `file_chunks` under the same id."""

    __tablename__ = "files"
    __table_args__ = (Index("ix_files_owner", "owner", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger())
    created_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime | None]
    owner: Mapped[str]


class FileChunkRow(Table):
    """A piece of a file; no foreign key, since the pieces are written before the file's record."""

    __tablename__ = "file_chunks"

    file_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    written_at: Mapped[datetime]
    data: Mapped[bytes]


ENDED = ("failed", "completed", "expired", "cancelled")
"""The statuses of bulk jobs that have ended."""


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
    worker: Mapped[str | None]
    leased_until: Mapped[datetime | None]


class BatchRecordRow(Table):
    """A record in the journal of an unfinished job; a line is finished at most once."""

    __tablename__ = "batch_records"
    __table_args__ = (
        CheckConstraint("kind IN ('plan', 'output', 'errors', 'ledger')", "kind"),
        Index("ix_batch_records_kind", "batch_id", "kind", "id"),
        Index("ix_batch_records_line", "batch_id", "line", unique=True),
    )

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True
    )
    batch_id: Mapped[str]
    kind: Mapped[str]
    line: Mapped[int | None]
    data: Mapped[bytes]
