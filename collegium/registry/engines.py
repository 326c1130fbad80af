"""What the engines last said of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import select

from collegium.registry.database import Database
from collegium.registry.tables import EngineRow, from_row, to_columns

State = Literal["starting", "ready", "failed", "stopped"]


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
    """The last report of each engine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, report: EngineReport) -> None:
        """Write the report over the engine's last one."""
        await self._database.write(self._database.upsert(EngineRow), to_columns(report))

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
