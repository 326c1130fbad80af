"""Usage by day, for the console to sum up a million decisions, and indexes to filter them."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Make the sums, which begin with the oldest decision, and the indexes."""
    op.create_table(
        "usage",
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("expert", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.Double, nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint("day", "owner", "application", "expert", name="pk_usage"),
    )
    op.create_index("ix_usage_owner_day", "usage", ["owner", "day"])
    progress = op.create_table(
        "usage_progress",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage_progress"),
    )
    op.bulk_insert(progress, [{"id": 1, "until": datetime(1970, 1, 1, tzinfo=UTC)}])
    op.create_index("ix_decisions_expert_created_at", "decisions", ["expert", "created_at"])
    op.create_index("ix_outcomes_status_finished_at", "outcomes", ["status", "finished_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_outcomes_status_finished_at", "outcomes")
    op.drop_index("ix_decisions_expert_created_at", "decisions")
    op.drop_table("usage_progress")
    op.drop_index("ix_usage_owner_day", "usage")
    op.drop_table("usage")


COUNTS = (
    "requests",
    "errors",
    "cancelled",
    "unpriced",
    "timed",
    "prompt_tokens",
    "completion_tokens",
)
SUMS = ("cost_usd", "energy_j", "latency_ms")
