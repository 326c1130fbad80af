"""Read queries: those that wait at the same time are encoded and read together.

One pass over sixteen queries takes hardly longer than over one: each step's fixed price is paid
once. Nobody waits for company, so a query that comes alone is read alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collegium.router.applications.naming import text_of
from collegium.router.decision import Query
from collegium.router.forecasting import Asked, Forecaster, Reading
from collegium.router.vectors import Encoder, is_quick

if TYPE_CHECKING:
    from collegium.router.beliefs.beliefs import Beliefs

MOST_AT_ONCE = 32
CONTEXTS_KEPT = 2_000
"""Embeddings of applications' prompts that are remembered, 3 kB each."""


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
        self._waiting: list[tuple[Query, asyncio.Future[Read]]] = []
        self._contexts: dict[str, NDArray[np.float64]] = {}
        self._work: asyncio.Task[None] | None = None

    async def read(self, query: Query) -> Read:
        """Embed a query's text and read its skills, evidence and forecasts."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Read] = loop.create_future()
        self._waiting.append((query, done))
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
        _tell(batch, self._read_all([query for query, _ in batch]))

    async def _read_in_thread(self) -> None:
        loop = asyncio.get_running_loop()
        while waiting := [(query, done) for query, done in self._waiting if not done.done()]:
            batch, self._waiting = waiting[:MOST_AT_ONCE], waiting[MOST_AT_ONCE:]
            queries = [query for query, _ in batch]
            _tell(batch, await loop.run_in_executor(self._thread, self._read_all, queries))

    def _read_all(self, queries: Sequence[Query]) -> list[Read | Exception]:
        """Each query's reading, or what went wrong with it; the others do not suffer from it."""
        try:
            beliefs = self._forecaster.fitted.beliefs
            new = new_contexts(queries, beliefs, self._contexts)
            texts = [query.text for query in queries]
            vectors = np.asarray(self._encoder.encode([*texts, *new.values()]), dtype=np.float64)
            self._remember(dict(zip(new, vectors[len(texts) :], strict=True)))
            vectors = vectors[: len(texts)]
            asked = [asked_by(query, beliefs, self._contexts) for query in queries]
            return list(map(Read, vectors, self._forecaster.read_all(vectors, asked)))
        except Exception as exc:  # noqa: BLE001  an encoder may raise what it likes; it is told
            if len(queries) <= 1:
                return [exc for _ in queries]
            return [found for query in queries for found in self._read_all([query])]

    def _remember(self, contexts: dict[str, NDArray[np.float64]]) -> None:
        self._contexts |= contexts
        for oldest in list(self._contexts)[: max(len(self._contexts) - CONTEXTS_KEPT, 0)]:
            del self._contexts[oldest]


def new_contexts(
    queries: Sequence[Query], beliefs: Beliefs, known: Collection[str] = ()
) -> dict[str, str]:
    """What unmarked applications' requests have in common, of those that are not `known` yet."""
    if not beliefs.features_.reads_context:
        return {}
    return {
        query.application: told
        for query in queries
        if query.application is not None
        and query.application not in known
        and beliefs.number(query.application) is None
        and (told := text_of(query.signals))
    }


def asked_by(query: Query, beliefs: Beliefs, contexts: Mapping[str, NDArray[np.float64]]) -> Asked:
    """Who sent a query, as the marks name it: those of a tenant may be marked without it."""
    key = query.application
    if key is not None and query.signals.tenant and beliefs.number(key) is None:
        bare = key.removeprefix(f"{query.signals.tenant}:")
        key = bare if beliefs.number(bare) is not None else key
    return Asked(key, contexts.get(query.application or ""))


def _tell(batch: Sequence[tuple[Query, asyncio.Future[Read]]], found: Sequence[Any]) -> None:
    for (_, done), result in zip(batch, found, strict=True):
        if done.done():  # who asked has left
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)
