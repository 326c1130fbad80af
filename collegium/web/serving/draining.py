"""Graceful shutdown: refuse new requests, give running ones time, then end them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from collegium.errors import ShuttingDown


class Draining:
    """Tracks the tasks that are answering."""

    def __init__(self) -> None:
        self.begun = False
        self.over = False
        self._deadline = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    def refusal(self) -> ShuttingDown | None:
        """Why new requests are refused; None while they are accepted."""
        return ShuttingDown("The service is about to end; ask again") if self.begun else None

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Mark the current task as answering; raise ShuttingDown when it is ended."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.over and task.cancelling() and task.uncancel() == 0:
                raise ShuttingDown(
                    "The service shut down before the answer was complete; retry"
                ) from None
            raise
        finally:
            self._tasks.discard(task)

    def begin(self, patience_s: float) -> float:
        """Refuse new requests; return the seconds that answers in progress still have."""
        now = asyncio.get_running_loop().time()
        if not self.begun:
            self.begun, self._deadline = True, now + patience_s
        return max(self._deadline - now, 0.0)

    async def drain(self, patience_s: float) -> None:
        """Refuse new requests, wait for answers in progress for this long, then cancel the rest."""
        while self.begin(patience_s) and self._tasks:
            await asyncio.sleep(0.05)
        self.over = True
        for task in self._tasks:
            task.cancel()
