"""What deleted answers cost: a budget's window may be longer than they are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Sums by application and hour."""
    op.create_table(
        "deleted_costs",
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usd", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("application", "hour", name="pk_deleted_costs"),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("deleted_costs")
