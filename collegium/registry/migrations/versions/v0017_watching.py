"""Alarms, replays that watch the experts, the models that upstreams name, and leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the four tables, and let the latest feedback be found."""
    _alarms()
    _replays()
    op.create_table(
        "upstream_models",
        sa.Column("expert", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("expert", name="pk_upstream_models"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_index("ix_feedback_created_at", "feedback", ["created_at"])


def downgrade() -> None:
    """Forget them."""
    op.drop_index("ix_feedback_created_at", "feedback")
    for table in ("leases", "upstream_models", "replays", "alarms"):
        op.drop_table(table)


def _alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("expert", sa.Text),
        sa.Column("router", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("lowered", sa.Double, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME),
        sa.Column("closed_for", sa.Text, nullable=False),
        sa.Column("open_as", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
    )
    op.create_index("ix_alarms_open_as", "alarms", ["open_as"], unique=True)
    op.create_index("ix_alarms_created_at", "alarms", ["created_at"])
    op.create_index("ix_alarms_changed_at", "alarms", ["changed_at"])


def _replays() -> None:
    op.create_table(
        "replays",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expert", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("application", sa.Text),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("forecast", sa.Double, nullable=False),
        sa.Column("cost_usd", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_replays"),
    )
    op.create_index("ix_replays_created_at", "replays", ["created_at"])
