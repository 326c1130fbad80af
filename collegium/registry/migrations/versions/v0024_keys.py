"""Keys and teams, and a number that grows with every change of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the tables and the number."""
    op.create_table(
        "teams",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("allowed_experts", sa.JSON, nullable=True),
        sa.Column("allowed_applications", sa.JSON, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_teams"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("live_name", sa.Text, nullable=True),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("last_four", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("team", sa.Text, nullable=True),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("allowed_experts", sa.JSON, nullable=True),
        sa.Column("allowed_applications", sa.JSON, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("former_hash", sa.LargeBinary, nullable=True),
        sa.Column("former_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["team"], ["teams.name"], name="fk_api_keys_team"),
        sa.CheckConstraint(
            "role IN ('operator', 'team-lead', 'caller', 'read-only')", name="ck_api_keys_role"
        ),
    )
    op.create_index("ix_api_keys_name", "api_keys", ["name"])
    op.create_index("ix_api_keys_live_name", "api_keys", ["live_name"], unique=True)
    op.create_index("ix_api_keys_hash", "api_keys", ["hash"], unique=True)
    op.create_index("ix_api_keys_team", "api_keys", ["team"])
    op.create_index("ix_api_keys_revision", "api_keys", ["revision"])
    op.create_index("ix_api_keys_created_at", "api_keys", ["created_at"])
    op.add_column(
        "registry_revision", sa.Column("keys", sa.Integer, nullable=False, server_default="0")
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("registry_revision", "keys")
    op.drop_table("api_keys")
    op.drop_table("teams")
