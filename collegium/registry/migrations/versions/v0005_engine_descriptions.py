"""Engines that are ours to run; outcomes say how long they waited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table and add the column; older outcomes don't know."""
    op.add_column("outcomes", sa.Column("waited_ms", sa.Double))
    op.create_table(
        "engine_descriptions",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("model_path", sa.Text, nullable=False),
        sa.Column("dtype", sa.Text),
        sa.Column("context", sa.Integer, nullable=False),
        sa.Column("max_sequences", sa.Integer, nullable=False),
        sa.Column("cache_gib", sa.Double, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("lora_slots", sa.Integer, nullable=False),
        sa.Column("flags", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_engine_descriptions"),
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_column("outcomes", "waited_ms")
    op.drop_table("engine_descriptions")
