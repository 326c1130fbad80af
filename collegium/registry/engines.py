"""What the engines last said of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import delete, select

from collegium.registry.database import Database
from collegium.registry.tables import EngineDescriptionRow, EngineRow, from_row, to_columns

State = Literal["starting", "ready", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """An engine that is ours to run wherever its model's folder is."""

    name: str
    model_path: str
    dtype: str | None = None
    """None for the fastest that the processor has."""
    context: int = 2048
    max_sequences: int = 32
    cache_gib: float = 1.0
    device: str = ""
    lora_slots: int = 0
    flags: str = ""
    """More options of vLLM, between spaces."""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """One engine's state; `detail` is for people."""

    name: str
    base_url: str
    model: str
    state: State
    pid: int | None = None
    detail: str = ""
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class EngineRegistry:
    """The engines that are described, and the last report of each engine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, report: EngineReport) -> None:
        """Write the report over the engine's last one."""
        await self._database.write(self._database.upsert(EngineRow), to_columns(report))

    async def describe(self, engine: EngineDescription) -> None:
        """Keep what an engine needs to run."""
        upsert = self._database.upsert(EngineDescriptionRow)
        await self._database.write(upsert, to_columns(engine))

    async def described(self) -> tuple[EngineDescription, ...]:
        """Return all engines that are ours to run, sorted by name."""
        async with self._database.session() as session:
            rows = await session.scalars(select(EngineDescriptionRow))
            engines = (from_row(EngineDescription, row) for row in rows)
            return tuple(sorted(engines, key=lambda engine: engine.name))

    async def forget(self, name: str) -> None:
        """Forget an engine, and what it last said."""
        async with self._database.transaction() as session:
            for table in (EngineDescriptionRow, EngineRow):
                await session.execute(delete(table).where(table.name == name))

    async def get(self, name: str) -> EngineReport | None:
        """Return the engine's last report, if it ever made one."""
        async with self._database.session() as session:
            row = await session.get(EngineRow, name)
            return None if row is None else from_row(EngineReport, row)

    async def list(self) -> tuple[EngineReport, ...]:
        """Return all engines' last reports, sorted by name."""
        async with self._database.session() as session:
            reports = [
                from_row(EngineReport, row) for row in await session.scalars(select(EngineRow))
            ]
            return tuple(sorted(reports, key=lambda report: report.name))
