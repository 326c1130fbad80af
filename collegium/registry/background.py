"""Work in the background: single tasks, and what is done every few seconds until it is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from collegium.errors import CollegiumError

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


class Repeating:
    """Does `work`, rests `every_s` seconds, and so on until it is closed.

    An error does not end it: what fails now may succeed next time. It is logged by the module of
    `work`, after the words `failing`; the same error is not logged twice in succession.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[object]],
        every_s: float,
        *,
        name: str,
        failing: str,
        first_after_s: float | None = None,
    ) -> None:
        """`first_after_s` is the rest before the first time; by default the usual one."""
        self._work = work
        self._every_s = every_s
        self._name = name
        self._failing = failing
        self._first_after_s = every_s if first_after_s is None else first_after_s
        self._log = logging.getLogger(work.__module__)
        self._logged = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background, unless it has begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._repeat(), name=self._name)

    async def close(self) -> None:
        """Stop at once. Hold the lock that `work` takes if it must not be interrupted there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _repeat(self) -> None:
        await asyncio.sleep(self._first_after_s)
        while True:
            try:
                await self._work()
                self._logged = ""
            except Exception as exc:  # noqa: BLE001  the outermost handler of background work
                self._tell(exc)
            await asyncio.sleep(self._every_s)

    def _tell(self, error: Exception) -> None:
        if self._logged == (words := f"{type(error).__name__}: {error}"):
            return
        self._logged = words
        if isinstance(error, CollegiumError | SQLAlchemyError):  # such as a database that is away
            self._log.warning("%s: %s", self._failing, error)
        else:
            self._log.error("%s: %s", self._failing, words, exc_info=error)
