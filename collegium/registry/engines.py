"""The registered engines. Their state is known only to the process that runs them."""

from __future__ import annotations

from sqlalchemy import delete, select

from collegium.registry.engine import Engine
from collegium.registry.storage.database import Database
from collegium.registry.tables import EngineRow


class EngineRegistry:
    """Stores the description of each engine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, engine: Engine) -> None:
        """Store an engine, replacing an earlier one of the same name."""
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
    """The engine unvalidated: what was valid at registration must start under newer bounds too."""
    return Engine.model_construct(**{name: getattr(row, name) for name in Engine.model_fields})
