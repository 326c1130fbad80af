"""What answers read from and wrote to caches, what they thought, and what failed attempts cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
COUNTS = ("cached_tokens", "cache_write_tokens", "reasoning_tokens")


def upgrade() -> None:
    """Add the columns; nothing is known of the answers that there are."""
    for column in COUNTS:
        op.add_column("outcomes", sa.Column(column, sa.Integer))
    op.add_column("outcomes", sa.Column("estimated", sa.Boolean))
    op.add_column("outcomes", sa.Column("attempts_usd", sa.Double))


def downgrade() -> None:
    """Drop them."""
    for column in (*COUNTS, "estimated", "attempts_usd"):
        op.drop_column("outcomes", column)
