"""Budgets, and usage as it counts against them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from collegium.registry.tables.base import Table


class BudgetRow(Table):
    """The columns of `Limit`."""

    __tablename__ = "budgets"

    scope: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger())


class DeletedUsageRow(Table):
    """The usage of deleted decisions within one hour, in whole units."""

    __tablename__ = "deleted_usage"

    owner: Mapped[str] = mapped_column(primary_key=True)
    team: Mapped[str] = mapped_column(primary_key=True)
    application: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    usd: Mapped[int] = mapped_column(BigInteger())
    """Nano-dollars."""
    tokens: Mapped[int] = mapped_column(BigInteger())
    joules: Mapped[int] = mapped_column(BigInteger())
    """Millijoules."""
    requests: Mapped[int] = mapped_column(BigInteger())


class UsageRow(Table):
    """The usage of one UTC day by owner, application and expert.

    A missing application is ""; `unpriced` counts answers whose price is unknown, `timed` those
    whose latencies `latency_ms` sums up.
    """

    __tablename__ = "usage"
    __table_args__ = (Index(None, "owner", "day"),)

    day: Mapped[datetime] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    application: Mapped[str] = mapped_column(primary_key=True)
    expert: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger())
    errors: Mapped[int] = mapped_column(BigInteger())
    cancelled: Mapped[int] = mapped_column(BigInteger())
    unpriced: Mapped[int] = mapped_column(BigInteger())
    timed: Mapped[int] = mapped_column(BigInteger())
    prompt_tokens: Mapped[int] = mapped_column(BigInteger())
    completion_tokens: Mapped[int] = mapped_column(BigInteger())
    cost_usd: Mapped[float]
    energy_j: Mapped[float]
    latency_ms: Mapped[float]
    cached: Mapped[int] = mapped_column(BigInteger(), server_default="0")
    saved_usd: Mapped[float] = mapped_column(server_default="0")
    failed_attempts: Mapped[int] = mapped_column(BigInteger(), server_default="0")


class UsageProgressRow(Table):
    """A single row: decisions made before this time are included in `usage`."""

    __tablename__ = "usage_progress"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    until: Mapped[datetime]
