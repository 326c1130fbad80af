"""Run many tasks with limited concurrency until all are done or cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


async def work_through(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], *, at_once: int
) -> None:
    """Always `at_once` items in the making: one that ends makes room for the next.

    An engine so runs its full batch from the first line to the last ones. The first exception
    cancels the others and is raised.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    workers = [asyncio.create_task(worker()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def in_room(
    work: Sequence[tuple[float, Callable[[], Coroutine[Any, Any, None]]]], room: float
) -> None:
    """Begin each piece as soon as its size fits beside those that run, in the given order.

    A piece that is larger than the room runs alone. The first exception cancels the others.
    """
    running: dict[asyncio.Task[None], float] = {}
    try:
        for size, begin in work:
            while running and sum(running.values()) + size > room + 1e-9:
                await _one_less(running)
            running[asyncio.create_task(begin())] = size
        while running:
            await _one_less(running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _one_less(running: dict[asyncio.Task[None], float]) -> None:
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        del running[task]
    for task in done:
        task.result()
