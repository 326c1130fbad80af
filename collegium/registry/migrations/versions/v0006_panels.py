"""What panels leave: the calls of an outcome, the answer that a person preferred."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the two columns; what was recorded before has neither."""
    op.add_column("outcomes", sa.Column("calls", sa.JSON, nullable=True))
    op.add_column("feedback", sa.Column("preferred", sa.Text, nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("feedback", "preferred")
    op.drop_column("outcomes", "calls")
