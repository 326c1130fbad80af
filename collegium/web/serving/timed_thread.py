"""Run foreign code in a thread of its own, with a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_time(work: Callable[[], Result], timeout_s: float) -> Result:
    """Return or raise the function's result; TimeoutError if it takes longer than `timeout_s`.

    A thread can't be stopped. It goes on running, but blocks neither the shared thread pool nor the
    end of the process.
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
