"""Files, the journals of bulk jobs and what ratings taught, where all replicas see them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Make the tables, and the columns of a job's lease."""
    op.create_table(
        "file_chunks",
        sa.Column("file_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("file_id", "number", name="pk_file_chunks"),
    )
    op.create_table(
        "batch_records",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("line", sa.Integer),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.CheckConstraint(
            "kind IN ('plan', 'output', 'errors', 'ledger')", name="ck_batch_records_kind"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_batch_records"),
    )
    op.create_index("ix_batch_records_kind", "batch_records", ["batch_id", "kind", "id"])
    op.create_index("ix_batch_records_line", "batch_records", ["batch_id", "line"], unique=True)
    op.add_column("batches", sa.Column("worker", sa.Text))
    op.add_column("batches", sa.Column("leased_until", sa.DateTime(timezone=True)))
    state = op.create_table(
        "online_state",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
        sa.Column("arrays", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_online_state"),
    )
    op.bulk_insert(state, [{"id": 1, "revision": 0, "card": "", "arrays": b""}])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("online_state")
    op.drop_column("batches", "leased_until")
    op.drop_column("batches", "worker")
    op.drop_index("ix_batch_records_line", "batch_records")
    op.drop_index("ix_batch_records_kind", "batch_records")
    op.drop_table("batch_records")
    op.drop_table("file_chunks")
