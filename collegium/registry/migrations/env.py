"""Alembic runs this file; `Database.migrate()` hands it an open connection in a transaction."""

from __future__ import annotations

from alembic import context

from collegium.registry.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transactional_ddl=True,  # SQLite has it too once we begin transactions ourselves
)
with context.begin_transaction():
    context.run_migrations()
