"""Work that goes on beside the requests, and ends with the service."""

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
        """Whether each has to come to its end."""

    def spawn(self, work: Coroutine[Any, Any, Any], *, to_its_end: bool = True) -> None:
        """Run something; where it need not come `to_its_end`, `close` cancels it."""
        task = asyncio.create_task(work)
        self._tasks[task] = to_its_end
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancel what need not come to its end."""
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
