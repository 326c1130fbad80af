"""Files and bulk jobs belong to the caller who made them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

TABLES = ("files", "batches")


def upgrade() -> None:
    """Add the column; what is there already belongs to the operator."""
    for table in TABLES:
        op.add_column(table, sa.Column("owner", sa.Text, nullable=False, server_default=""))
        op.create_index(f"ix_{table}_owner", table, ["owner", "created_at"])


def downgrade() -> None:
    """Drop it."""
    for table in TABLES:
        op.drop_index(f"ix_{table}_owner", table)
        op.drop_column(table, "owner")
