"""Find the prompts of earlier learning runs by what they ask."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0020"


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_learning_prompts_digest", "learning_prompts", ["digest"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_learning_prompts_digest", "learning_prompts")
