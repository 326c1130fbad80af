"""Background tasks, which end with the service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """Tasks that outlive the request that began them."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], bool] = {}
        """For each task, whether it must be completed."""

    def spawn(self, work: Coroutine[Any, Any, Any], *, to_its_end: bool = True) -> None:
        """Start a task; `close` cancels it unless it must run `to_its_end`."""
        task = asyncio.create_task(work)
        self._tasks[task] = to_its_end
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancel the tasks that need not be completed."""
        for task, to_its_end in self._tasks.items():
            if not to_its_end:
                task.cancel()

    async def finish(self) -> None:
        """Return when all has ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)
