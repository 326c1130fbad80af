"""What a bulk job has spent of its budget."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column; jobs from before tell nothing."""
    op.add_column("batches", sa.Column("money", sa.JSON, nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("batches", "money")
