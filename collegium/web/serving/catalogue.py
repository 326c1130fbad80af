"""The registered experts, and the engines and clients that follow them."""

from __future__ import annotations

import asyncio

from collegium.experts.fleet import Fleet
from collegium.experts.pool import Pool
from collegium.registry.background import Background
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry


class Catalogue:
    """Reads the experts again whenever one changed, and has engines run accordingly."""

    def __init__(
        self,
        experts: ExpertRegistry,
        engines: EngineRegistry,
        fleet: Fleet,
        pool: Pool,
        background: Background,
    ) -> None:
        self._registry = experts
        self._engines = engines
        self._fleet = fleet
        self._pool = pool
        self._background = background
        self._following = asyncio.Lock()
        self._known: tuple[int, tuple[Expert, ...]] = (-1, ())

    async def now(self) -> tuple[Expert, ...]:
        """Return all registered experts, including disabled ones."""
        revision = await self._registry.revision()
        if revision != self._known[0]:
            self._known = (revision, await self._registry.list())
            self._background.spawn(self.follow(), to_its_end=False)
        return self._known[1]

    async def follow(self) -> None:
        """Run exactly the engines and keep exactly the adapters that the registry lists."""
        async with self._following:
            await self._fleet.follow(await self._engines.list())
            await self._pool.follow(await self._registry.list())
