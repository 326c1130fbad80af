"""How the service ends: no new requests, time for the answers under way, then an end to those."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from collegium.errors import ShuttingDown


class Draining:
    """Knows the tasks that answer."""

    def __init__(self) -> None:
        self.begun = False
        self.over = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def refusal(self) -> ShuttingDown | None:
        """Why no new request is taken; None while they are."""
        return ShuttingDown("The service is about to end; ask again") if self.begun else None

    @contextmanager
    def answering(self) -> Iterator[None]:
        """The present task answers meanwhile; ShuttingDown where that is ended."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.over and task.cancelling() and task.uncancel() == 0:
                raise ShuttingDown("The service ended before the answer did; ask again") from None
            raise
        finally:
            self._tasks.discard(task)

    async def drain(self, patience_s: float) -> None:
        """Take no more, wait for the answers for so long, then end those that are left."""
        self.begun = True
        deadline = asyncio.get_running_loop().time() + patience_s
        while self._tasks and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        self.over = True
        for task in self._tasks:
            task.cancel()
