"""Experts, engines, decisions, outcomes and feedback."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the first tables."""
    _experts()
    _engines()
    _decisions()
    _outcomes()
    _feedback()


def downgrade() -> None:
    """Drop them all."""
    for table in (
        "feedback",
        "outcomes",
        "decisions",
        "engines",
        "experts",
        "seeds",
        "registry_revision",
    ):
        op.drop_table(table)


def _experts() -> None:
    revisions = op.create_table(
        "registry_revision",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_revision"),
    )
    op.bulk_insert(revisions, [{"id": 1, "number": 0}])
    op.create_table(
        "seeds",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("seeded_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_seeds"),
    )
    op.create_table(
        "experts",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("engine", sa.Text),
        sa.Column("base_url", sa.Text),
        sa.Column("adapter", sa.Text),
        sa.Column("api_key_env", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("skills", sa.JSON, nullable=False),
        sa.Column("input_price", sa.Double, nullable=False),
        sa.Column("output_price", sa.Double, nullable=False),
        sa.Column("context_window", sa.Integer, nullable=False),
        sa.Column("generalist", sa.Boolean, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_experts"),
    )


def _engines() -> None:
    op.create_table(
        "engines",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_engines"),
        sa.CheckConstraint(
            "state IN ('starting', 'ready', 'failed', 'stopped')", name="ck_engines_state"
        ),
    )


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("requested_model", sa.Text, nullable=False),
        sa.Column("expert", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text),
        sa.Column("session", sa.Text),
        sa.Column("forecasts", sa.JSON, nullable=False),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )
    op.create_index("ix_decisions_created_at", "decisions", ["created_at"])


def _outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("decision_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("cost_usd", sa.Double),
        sa.Column("latency_ms", sa.Double),
        sa.Column("ttft_ms", sa.Double),
        sa.Column("energy_j", sa.Double),
        sa.Column("finished_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_outcomes"),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["decisions.id"],
            name="fk_outcomes_decision_id",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("status IN ('ok', 'error', 'cancelled')", name="ck_outcomes_status"),
    )


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("decision_id", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["decisions.id"],
            name="fk_feedback_decision_id",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "verdict IN ('good_fit', 'underpowered', 'overprovisioned', 'failed')",
            name="ck_feedback_verdict",
        ),
    )
    op.create_index("ix_feedback_decision_id", "feedback", ["decision_id"])
