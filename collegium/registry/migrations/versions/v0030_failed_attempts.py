"""What failed attempts read, wrote and cost, by the experts that made them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Add the columns: of older answers it is not known whose attempts cost what."""
    op.add_column("outcomes", sa.Column("attempts", sa.JSON))
    added = sa.Column("failed_attempts", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("usage", added)


def downgrade() -> None:
    """Drop them."""
    op.drop_column("usage", "failed_attempts")
    op.drop_column("outcomes", "attempts")
