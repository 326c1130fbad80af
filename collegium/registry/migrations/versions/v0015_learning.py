"""Learning runs with their evidence, and versions of the router."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_TIME = sa.DateTime(timezone=True)
_RUN_STATES = "'proposed', 'running', 'finished', 'failed', 'cancelled'"
_VERSION_STATES = "'candidate', 'shadow', 'canary', 'serving', 'retired', 'rolled_back'"


def upgrade() -> None:
    """Make the five tables; decisions so far were made by a router without a version."""
    _runs()
    _evidence()
    _versions()
    op.add_column("decisions", sa.Column("router", sa.Text, nullable=True))
    op.add_column("decisions", sa.Column("shadow", sa.JSON, nullable=True))


def downgrade() -> None:
    """Forget them."""
    op.drop_column("decisions", "shadow")
    op.drop_column("decisions", "router")
    for table in ("router_versions", "marks", "learning_answers", "learning_prompts"):
        op.drop_table(table)
    op.drop_table("learning_runs")


def _runs() -> None:
    op.create_table(
        "learning_runs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("estimate", sa.JSON, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME),
        sa.Column("spent_usd", sa.Double, nullable=False),
        sa.Column("answered", sa.Integer, nullable=False),
        sa.Column("planned", sa.Integer, nullable=False),
        sa.Column("report", sa.JSON),
        sa.Column("router", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("leased_until", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_learning_runs"),
        sa.CheckConstraint(f"status IN ({_RUN_STATES})", name="ck_learning_runs_status"),
    )
    op.create_index("ix_learning_runs_created_at", "learning_runs", ["created_at"])
    op.create_index("ix_learning_runs_status", "learning_runs", ["status"])


def _evidence() -> None:
    op.create_table(
        "learning_prompts",
        *_of_run(),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("signals", sa.JSON, nullable=False),
        sa.Column("application", sa.Text),
        sa.Column("reference", sa.JSON),
        sa.Column("checker", sa.JSON),
        sa.Column("decision_id", sa.Text),
        *_keys("learning_prompts", "run_id", "number"),
    )
    op.create_table(
        "learning_answers",
        *_of_run(),
        sa.Column("expert", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("answer", sa.JSON),
        sa.Column("error", sa.Text),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("cost_usd", sa.Double),
        sa.Column("latency_ms", sa.Double),
        sa.Column("logged", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        *_keys("learning_answers", "run_id", "number", "expert"),
    )
    op.create_index("ix_learning_answers_created_at", "learning_answers", ["created_at"])
    op.create_table(
        "marks",
        *_of_run(),
        sa.Column("expert", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("reliability", sa.Double, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        *_keys("marks", "run_id", "number", "expert", "source"),
    )


def _of_run() -> tuple[sa.Column[str], sa.Column[int]]:
    number: sa.Column[int] = sa.Column("number", sa.Integer, nullable=False, autoincrement=False)
    return sa.Column("run_id", sa.Text, nullable=False), number


def _keys(table: str, *key: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["learning_runs.id"], name=f"fk_{table}_run_id", ondelete="CASCADE"
        ),
    )


def _versions() -> None:
    op.create_table(
        "router_versions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("applications", sa.JSON, nullable=False),
        sa.Column("automatic", sa.Boolean, nullable=False),
        sa.Column("served", sa.Boolean, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("report", sa.JSON),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("card", sa.LargeBinary, nullable=False),
        sa.Column("arrays", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_router_versions"),
        sa.CheckConstraint(f"status IN ({_VERSION_STATES})", name="ck_router_versions_status"),
    )
    op.create_index("ix_router_versions_created_at", "router_versions", ["created_at"])
    op.create_index("ix_router_versions_status", "router_versions", ["status"])
