"""Experts, engines, and what replicas agree on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy.orm import Mapped, mapped_column

from collegium.registry.engine import Engine
from collegium.registry.tables.base import Table, columns_of


class SeedRow(Table):
    """A source whose experts were registered once; what people did to them since is theirs."""

    __tablename__ = "seeds"

    source: Mapped[str] = mapped_column(primary_key=True)
    seeded_at: Mapped[datetime]


class ExpertRow(Table):
    """The columns of `Expert`."""

    __tablename__ = "experts"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    model: Mapped[str]
    engine: Mapped[str | None]
    base_url: Mapped[str | None]
    adapter: Mapped[str | None]
    api_key_env: Mapped[str | None]
    description: Mapped[str]
    skills: Mapped[dict[str, Any]]
    input_price: Mapped[float | None]
    output_price: Mapped[float | None]
    context_window: Mapped[int]
    generalist: Mapped[bool]
    enabled: Mapped[bool]
    version: Mapped[int]
    tags: Mapped[list[str]]
    prior: Mapped[float | None]
    parameters_b: Mapped[float | None]
    capabilities: Mapped[dict[str, Any]]
    prices: Mapped[dict[str, Any]]
    labels: Mapped[dict[str, Any]]
    preset: Mapped[dict[str, Any] | None]


class EngineRow(Table):
    """The fields of `Engine`."""

    __table__ = sqlalchemy.Table("engine_descriptions", Table.metadata, *columns_of(Engine))


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
