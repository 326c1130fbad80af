"""Decisions keep the odds that their expert had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Every decision so far was certain."""
    op.add_column(
        "decisions", sa.Column("propensity", sa.Double, nullable=False, server_default="1.0")
    )


def downgrade() -> None:
    """Forget the odds."""
    op.drop_column("decisions", "propensity")
