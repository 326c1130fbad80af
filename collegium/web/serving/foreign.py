"""Call what is not ours in a thread of its own, and wait for it no longer than it may take."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_time(work: Callable[[], Result], timeout_s: float) -> Result:
    """What a function returns or raises; TimeoutError if it takes longer than `timeout_s`.

    Nobody can stop a thread: it goes on, but neither the threads that others share nor the end of
    the process wait for it.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if found.done():  # nobody waits any more
            return
        if error is None:
            found.set_result(result)  # type: ignore[arg-type]
        else:
            found.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as exc:  # noqa: BLE001  raised where it is waited for
            error = RuntimeError(repr(exc)) if isinstance(exc, StopIteration) else exc
        with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="foreign code", daemon=True).start()
    async with asyncio.timeout(timeout_s):
        return await found
