"""Decisions have owners, feedback has a source and a score, and whole exchanges may be kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
SOURCES = "source IN ('rating', 'preferred', 'regenerate', 'ask_another')"
INDEXES = ("owner", "application", "session")


def upgrade() -> None:
    """What was recorded before is the operator's: nobody noted who had asked."""
    op.add_column("decisions", sa.Column("owner", sa.Text, nullable=False, server_default=""))
    for column in INDEXES:
        name = f"ix_decisions_{column}_created_at"
        op.create_index(name, "decisions", [column, "created_at"])
    with op.batch_alter_table("feedback") as table:
        table.alter_column("verdict", existing_type=sa.Text(), nullable=True)
        table.add_column(sa.Column("owner", sa.Text, nullable=False, server_default=""))
        table.add_column(sa.Column("source", sa.Text, nullable=False, server_default="rating"))
        table.add_column(sa.Column("score", sa.Double))
        table.create_check_constraint(op.f("ck_feedback_source"), SOURCES)
        table.create_check_constraint(op.f("ck_feedback_score"), "score BETWEEN 0 AND 1")
    op.execute(
        "UPDATE feedback SET score = "
        "CASE WHEN verdict IN ('good_fit', 'overprovisioned') THEN 1.0 ELSE 0.0 END"
    )
    _exchanges()


def _exchanges() -> None:
    op.create_table(
        "exchanges",
        sa.Column("decision_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("application", sa.Text),
        sa.Column("session", sa.Text),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.PrimaryKeyConstraint("decision_id", name="pk_exchanges"),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["decisions.id"],
            name="fk_exchanges_decision_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_exchanges_created_at_bytes", "exchanges", ["created_at", "bytes"])


def downgrade() -> None:
    """Feedback without a verdict can't be kept."""
    op.drop_table("exchanges")
    op.execute("DELETE FROM feedback WHERE verdict IS NULL")
    with op.batch_alter_table("feedback") as table:
        for check in ("source", "score"):
            table.drop_constraint(op.f(f"ck_feedback_{check}"), type_="check")
        for column in ("score", "source", "owner"):
            table.drop_column(column)
        table.alter_column("verdict", existing_type=sa.Text(), nullable=False)
    for column in INDEXES:
        op.drop_index(f"ix_decisions_{column}_created_at", "decisions")
    op.drop_column("decisions", "owner")
