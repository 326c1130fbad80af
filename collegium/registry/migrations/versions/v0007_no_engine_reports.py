"""No table of what engines last said: nobody read it, and rows outlived their engines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Drop it; `GET /v1/engines` asks the engines themselves."""
    op.drop_table("engines")


def downgrade() -> None:
    """Make it again, empty: engines report when they start."""
    op.create_table(
        "engines",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_engines"),
        sa.CheckConstraint(
            "state IN ('starting', 'ready', 'failed', 'stopped')", name="ck_engines_state"
        ),
    )
