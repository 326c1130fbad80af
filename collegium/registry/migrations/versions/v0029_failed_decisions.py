"""Indexes for lists of failed decisions, for each owner's records, and for what runs took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Copy whose the failed decisions are to their outcomes, which a list sorts."""
    for name in COPIED:
        op.add_column("outcomes", sa.Column(name, sa.Text))
        where = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_outcomes_{name}_{'_'.join(SORTED)}",
            "outcomes",
            [name, *SORTED],
            postgresql_where=where,
            sqlite_where=where,
        )
    values = ", ".join(
        f"{name} = (SELECT {source} FROM decisions WHERE id = decision_id)"
        for name, source in COPIED.items()
    )
    op.execute(f"UPDATE outcomes SET {values} WHERE status <> 'ok'")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ANALYZE outcomes")  # else it sorts all failures of an owner to find the latest
    for table in ("exchanges", "responses"):
        op.drop_index(f"ix_{table}_created_at_bytes", table)
        op.create_index(
            f"ix_{table}_owner_created_at_bytes", table, ["owner", "created_at", "bytes"]
        )
    op.create_index("ix_learning_prompts_decision_id", "learning_prompts", ["decision_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_learning_prompts_decision_id", "learning_prompts")
    for table in ("responses", "exchanges"):
        op.drop_index(f"ix_{table}_owner_created_at_bytes", table)
        op.create_index(f"ix_{table}_created_at_bytes", table, ["created_at", "bytes"])
    for name in reversed(COPIED):
        op.drop_index(f"ix_outcomes_{name}_{'_'.join(SORTED)}", "outcomes")
        op.drop_column("outcomes", name)


SORTED = ("status", "finished_at", "decision_id")
COPIED = {
    "failed_owner": "owner",
    "failed_application": "application",
    "failed_expert": "expert",
}
"""New columns, and those of decisions that they are copied from."""
