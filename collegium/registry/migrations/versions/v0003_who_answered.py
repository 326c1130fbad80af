"""Outcomes say who answered, and who was asked before in vain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add both columns; older outcomes know neither."""
    op.add_column("outcomes", sa.Column("expert", sa.Text))
    op.add_column("outcomes", sa.Column("tried", sa.JSON))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("outcomes", "tried")
    op.drop_column("outcomes", "expert")
