"""How an engine of ours routes tokens in a sparse model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; engines that were described before have no policy."""
    op.add_column("engine_descriptions", sa.Column("token_policy", sa.Text, nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("engine_descriptions", "token_policy")
