"""State that replicas of the service agree on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from collegium.registry.tables.base import Table


class RevisionRow(Table):
    """A single row, which every change of the experts increments and thereby locks."""

    __tablename__ = "registry_revision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    keys: Mapped[int] = mapped_column(server_default="0")
    """The same for keys and teams, which requests don't have to read."""


class LeaseRow(Table):
    """The replica that holds a lease, and until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[datetime]
