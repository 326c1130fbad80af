"""The engines that are registered. How they are is asked of the process that runs them."""

from __future__ import annotations

from sqlalchemy import delete, select

from collegium.registry.database import Database
from collegium.registry.engine import Engine
from collegium.registry.tables import EngineRow


class EngineRegistry:
    """What each engine needs to run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, engine: Engine) -> None:
        """Keep what an engine needs, in place of what was kept before."""
        await self._database.write(self._database.upsert(EngineRow), dict(engine))

    async def list(self) -> tuple[Engine, ...]:
        """Return all engines, sorted by name."""
        async with self._database.session() as session:
            engines = [_engine(row) for row in await session.scalars(select(EngineRow))]
        return tuple(sorted(engines, key=lambda engine: engine.name))

    async def remove(self, name: str) -> None:
        """Forget an engine."""
        async with self._database.transaction() as session:
            await session.execute(delete(EngineRow).where(EngineRow.__table__.c.name == name))


def _engine(row: EngineRow) -> Engine:
    """What was valid when it was registered stays so: a service starts under any older bounds."""
    return Engine.model_construct(**{name: getattr(row, name) for name in Engine.model_fields})
