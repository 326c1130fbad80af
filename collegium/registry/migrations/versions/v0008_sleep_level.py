"""Engines may sleep where they would be stopped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Engines that are described already are stopped, as before."""
    level = sa.Column("sleep_level", sa.Integer, nullable=False, server_default="0")
    op.add_column("engine_descriptions", level)


def downgrade() -> None:
    """Drop it."""
    op.drop_column("engine_descriptions", "sleep_level")
