"""What experts can take and give, their further prices, and labels that rules ask for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
ADDED = ("capabilities", "prices", "labels")


def upgrade() -> None:
    """Add the columns; nothing is known of the experts that there are."""
    for column in ADDED:
        op.add_column("experts", sa.Column(column, sa.JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    """Drop them."""
    for column in ADDED:
        op.drop_column("experts", column)
