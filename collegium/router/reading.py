"""Read queries: those that wait at the same time are encoded and read together.

One pass over sixteen queries takes hardly longer than over one: each step's fixed price is paid
once. Nobody waits for company, so a query that comes alone is read alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.router.forecasting import Forecaster, Reading
from collegium.router.vectors import Encoder, is_quick

MOST_AT_ONCE = 32


@dataclass(frozen=True)
class Read:
    """A query's vector, shape (d,), and what it says."""

    embedding: NDArray[np.float64]
    reading: Reading


class Reader:
    """An encoder with a queue. A slow one runs in a thread, so that the event loop goes on."""

    def __init__(self, encoder: Encoder, forecaster: Forecaster) -> None:
        self._encoder = encoder
        self._forecaster = forecaster
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._waiting: list[tuple[str, asyncio.Future[Read]]] = []
        self._work: asyncio.Task[None] | None = None

    async def read(self, text: str) -> Read:
        """Embed a text and read its skills, strangeness and forecasts."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Read] = loop.create_future()
        self._waiting.append((text, done))
        if is_quick(self._encoder):  # to wake a thread would take longer
            if len(self._waiting) == 1:
                loop.call_soon(self._read_here)
        elif self._work is None or self._work.done():
            self._work = loop.create_task(self._read_in_thread())
        return await done

    def similarity(self, texts: Sequence[str]) -> list[list[float]]:
        """Cosine similarities of texts, shape (n, n); waits for its turn at the encoder."""
        rows = self._thread.submit(self._encoder.encode, list(texts)).result()
        return [[float(value) for value in row] for row in rows @ rows.T]

    def _read_here(self) -> None:
        batch, self._waiting = self._waiting, []
        _tell(batch, self._read_all([text for text, _ in batch]))

    async def _read_in_thread(self) -> None:
        loop = asyncio.get_running_loop()
        while waiting := [(text, done) for text, done in self._waiting if not done.done()]:
            batch, self._waiting = waiting[:MOST_AT_ONCE], waiting[MOST_AT_ONCE:]
            texts = [text for text, _ in batch]
            _tell(batch, await loop.run_in_executor(self._thread, self._read_all, texts))

    def _read_all(self, texts: Sequence[str]) -> list[Read | Exception]:
        """Each text's reading, or what went wrong with it; the others do not suffer from it."""
        try:
            vectors = np.asarray(self._encoder.encode(texts), dtype=np.float64)
            return list(map(Read, vectors, self._forecaster.read_all(vectors)))
        except Exception as exc:  # noqa: BLE001  an encoder may raise what it likes; it is told
            if len(texts) <= 1:
                return [exc for _ in texts]
            return [found for text in texts for found in self._read_all([text])]


def _tell(batch: Sequence[tuple[str, asyncio.Future[Read]]], found: Sequence[Any]) -> None:
    for (_, done), result in zip(batch, found, strict=True):
        if done.done():  # who asked has left
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)
