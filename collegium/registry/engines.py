"""The engines that are ours to run. How they are is asked of the process that runs them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select

from collegium.registry.database import Database
from collegium.registry.tables import EngineDescriptionRow, from_row, to_columns


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
    sleep_level: int = 0
    """1 or 2: sleeps so where it would be stopped to make room; needs a GPU."""
    token_policy: str | None = None
    """How tokens are routed in a sparse model (`kernels.token_policy`), as JSON."""


class EngineRegistry:
    """What each engine needs to run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def describe(self, engine: EngineDescription) -> None:
        """Keep what an engine needs, in place of what was kept before."""
        upsert = self._database.upsert(EngineDescriptionRow)
        await self._database.write(upsert, to_columns(engine))

    async def described(self) -> tuple[EngineDescription, ...]:
        """Return all engines that are ours to run, sorted by name."""
        async with self._database.session() as session:
            rows = await session.scalars(select(EngineDescriptionRow))
            engines = (from_row(EngineDescription, row) for row in rows)
            return tuple(sorted(engines, key=lambda engine: engine.name))

    async def forget(self, name: str) -> None:
        """Forget an engine."""
        async with self._database.transaction() as session:
            gone = delete(EngineDescriptionRow).where(EngineDescriptionRow.name == name)
            await session.execute(gone)
