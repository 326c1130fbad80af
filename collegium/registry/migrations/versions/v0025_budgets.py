"""Budgets of keys, teams and applications; what decisions reserve and what deleted ones took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

RESERVED = ("reserved_usd", "reserved_tokens", "reserved_joules")


def upgrade() -> None:
    """Make the tables and columns; what deleted answers cost is kept in whole nano-dollars."""
    op.create_table(
        "budgets",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("window", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("scope", "name", "metric", "window", name="pk_budgets"),
    )
    op.create_table(
        "deleted_usage",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("team", sa.Text, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usd", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("joules", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", "team", "application", "hour", name="pk_deleted_usage"),
    )
    op.execute(
        "INSERT INTO deleted_usage SELECT '', '', application, hour, "
        "CAST(ROUND(usd * 1000000000) AS BIGINT), 0, 0, 0 FROM deleted_costs"
    )
    op.drop_table("deleted_costs")
    op.add_column("decisions", sa.Column("team", sa.Text))
    for name in RESERVED:
        op.add_column("decisions", sa.Column(name, sa.BigInteger))
    op.create_index("ix_decisions_team_created_at", "decisions", ["team", "created_at"])


def downgrade() -> None:
    """Forget them, except what deleted answers cost."""
    op.create_table(
        "deleted_costs",
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usd", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("application", "hour", name="pk_deleted_costs"),
    )
    op.execute(
        "INSERT INTO deleted_costs SELECT application, hour, SUM(usd) / 1000000000.0 "
        "FROM deleted_usage WHERE application <> '' GROUP BY application, hour"
    )
    op.drop_index("ix_decisions_team_created_at", "decisions")
    for name in ("team", *RESERVED):
        op.drop_column("decisions", name)
    op.drop_table("deleted_usage")
    op.drop_table("budgets")
