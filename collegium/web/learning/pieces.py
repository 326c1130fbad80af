"""The pieces of a learning run that are paid for: begun while the service runs, ended before it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager


class Pieces:
    """Counts the answers and the judged prompts in progress.

    Once the service is stopping no further one begins: whoever tries waits to be cancelled.
    """

    def __init__(self, is_stopping: Callable[[], bool]) -> None:
        self._is_stopping = is_stopping
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """One piece, from its first question to what is written of it."""
        if self._is_stopping():
            await asyncio.Future()
        self._count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def ended(self, patience_s: float) -> None:
        """Return when none is in progress, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), patience_s)
