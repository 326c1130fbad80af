"""Background work that is done every few seconds for as long as the service runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from collegium.errors import CollegiumError


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
