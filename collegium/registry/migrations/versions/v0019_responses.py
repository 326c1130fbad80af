"""Responses that callers go on with by their ids, kept with the decision that they hang on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "responses",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("decision_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("earlier", sa.JSON, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("response", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_responses"),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["decisions.id"],
            name="fk_responses_decision_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_responses_decision_id", "responses", ["decision_id"])
    op.create_index("ix_responses_created_at_bytes", "responses", ["created_at", "bytes"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("responses")
