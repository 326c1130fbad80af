"""Which answers came from the response cache, and what that saved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add the columns: no answer that there is came from a cache."""
    op.add_column("outcomes", sa.Column("cached_from", sa.Text))
    op.add_column("outcomes", sa.Column("saved_usd", sa.Double))
    op.add_column("usage", sa.Column("cached", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("usage", sa.Column("saved_usd", sa.Double, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop them."""
    for table, column in (
        ("usage", "saved_usd"),
        ("usage", "cached"),
        ("outcomes", "saved_usd"),
        ("outcomes", "cached_from"),
    ):
        op.drop_column(table, column)
