"""What is known of an expert on its first day: prices may be unknown; tags, prior, size, preset."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
PRICES = ("input_price", "output_price")


def upgrade() -> None:
    """Remote experts without any price were those of whom nobody had stated one: now unknown."""
    with op.batch_alter_table("experts") as table:
        for price in PRICES:
            table.alter_column(price, existing_type=sa.Double(), nullable=True)
        table.add_column(sa.Column("tags", sa.JSON, nullable=False, server_default="[]"))
        table.add_column(sa.Column("prior", sa.Double))
        table.add_column(sa.Column("parameters_b", sa.Double))
        table.add_column(sa.Column("preset", sa.JSON))
    op.execute(
        "UPDATE experts SET input_price = NULL, output_price = NULL "
        "WHERE kind IN ('openai', 'litellm') AND input_price = 0 AND output_price = 0"
    )


def downgrade() -> None:
    """An unknown price was 0."""
    for price in PRICES:
        op.execute(f"UPDATE experts SET {price} = 0 WHERE {price} IS NULL")
    with op.batch_alter_table("experts") as table:
        for column in ("preset", "parameters_b", "prior", "tags"):
            table.drop_column(column)
        for price in PRICES:
            table.alter_column(price, existing_type=sa.Double(), nullable=False)
