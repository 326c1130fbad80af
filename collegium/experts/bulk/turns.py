"""Engines that take turns on a device with room for one of them."""

from __future__ import annotations

import time
from collections.abc import Mapping

from collegium.experts.supervisor import Supervisor


class Turns:
    """`take` an engine: the one before it ends first."""

    def __init__(self, engines: Mapping[str, Supervisor]) -> None:
        self.engines = engines
        self._current: str | None = None

    @property
    def resident(self) -> tuple[str, ...]:
        """The engine that is loaded, if any."""
        return () if self._current is None else (self._current,)

    async def take(self, name: str) -> float:
        """Return when the engine is ready; the seconds that its own start took, 0 if it was."""
        if self._current == name:
            return 0.0
        await self.close()
        began = time.perf_counter()
        self._current = name
        await self.engines[name].start()
        await self.engines[name].wait_ready()
        return time.perf_counter() - began

    async def close(self) -> None:
        """End the engine that is loaded."""
        if self._current is not None:
            await self.engines[self._current].stop()
        self._current = None
