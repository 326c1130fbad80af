"""Read queries; those waiting at the same time are encoded together.

One pass over sixteen queries takes hardly longer than over one: each step's fixed price is paid
once. Nobody waits for company, so a query that comes alone is read alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collegium.router.applications.naming import text_of
from collegium.router.decision import Query
from collegium.router.forecasting import Asked, Forecaster, Reading
from collegium.router.vectors import Encoder, is_quick
from collegium.router.views import familiar

if TYPE_CHECKING:
    from collegium.router.beliefs.beliefs import Beliefs

MOST_AT_ONCE = 32
CONTEXTS_KEPT = 2_000
"""Embeddings of applications' prompts that are remembered, 3 kB each."""


@dataclass(frozen=True)
class Read:
    """A query's vector, shape (d,), and its reading."""

    embedding: NDArray[np.float64]
    reading: Reading


@dataclass(frozen=True)
class _Waiting:
    """A query that waits for the encoder."""

    query: Query
    done: asyncio.Future[Read]
    by_parts: bool


class Reader:
    """An encoder with a queue. A slow one runs in a thread, so that the event loop isn't
    blocked.
    """

    def __init__(self, encoder: Encoder, forecaster: Forecaster) -> None:
        self.encoder = encoder
        self._forecaster = forecaster
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._waiting: list[_Waiting] = []
        self._contexts: dict[str, NDArray[np.float64]] = {}
        self._work: asyncio.Task[None] | None = None

    async def read(self, query: Query, *, by_parts: bool = True) -> Read:
        """Embed a query's text and read its skills, evidence and forecasts.

        `by_parts`: whether parts of an unfamiliar query are read as well (`views.py`), which takes
        twice as long.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Read] = loop.create_future()
        self._waiting.append(_Waiting(query, done, by_parts))
        if is_quick(self.encoder):  # to wake a thread would take longer
            if len(self._waiting) == 1:
                loop.call_soon(self._read_here)
        elif self._work is None or self._work.done():
            self._work = loop.create_task(self._read_in_thread())
        return await done

    def similarity(self, texts: Sequence[str]) -> list[list[float]]:
        """Cosine similarities of texts, shape (n, n); waits for its turn at the encoder."""
        rows = self._thread.submit(self.encoder.encode, list(texts)).result()
        return [[float(value) for value in row] for row in rows @ rows.T]

    def _read_here(self) -> None:
        batch, self._waiting = self._waiting, []
        _tell(batch, self._read_all(batch))

    async def _read_in_thread(self) -> None:
        loop = asyncio.get_running_loop()
        while waiting := [each for each in self._waiting if not each.done.done()]:
            batch, self._waiting = waiting[:MOST_AT_ONCE], waiting[MOST_AT_ONCE:]
            _tell(batch, await loop.run_in_executor(self._thread, self._read_all, batch))

    def _read_all(self, batch: Sequence[_Waiting]) -> list[Read | Exception]:
        """Return each query's reading, or its own error."""
        queries = [each.query for each in batch]
        try:
            beliefs = self._forecaster.fitted.beliefs
            new = new_contexts(queries, beliefs, self._contexts)
            texts = [query.text for query in queries]
            vectors = np.asarray(self.encoder.encode([*texts, *new.values()]), dtype=np.float64)
            self._remember(dict(zip(new, vectors[len(texts) :], strict=True)))
            vectors = vectors[: len(texts)]
            asked = [asked_by(query, beliefs, self._contexts) for query in queries]
            parted = [
                text if each.by_parts else "" for text, each in zip(texts, batch, strict=True)
            ]
            vectors, readings = self._read_parts(parted, vectors, asked)
            readings = [_of_few_words(r, q) for r, q in zip(readings, queries, strict=True)]
            return list(map(Read, vectors, readings))
        except Exception as exc:  # noqa: BLE001  an encoder may raise what it likes; it is told
            if len(batch) <= 1:
                return [exc for _ in batch]
            return [found for each in batch for found in self._read_all([each])]

    def _read_parts(
        self, texts: Sequence[str], vectors: NDArray[np.float64], asked: Sequence[Asked]
    ) -> tuple[NDArray[np.float64], list[Reading]]:
        """Read texts, by a part of those that are unfamiliar as a whole (`views.py`)."""
        readings = self._forecaster.read_all(vectors, asked)
        evidence = self._forecaster.fitted.beliefs.evidence_
        weights = np.array([reading.evidence for reading in readings])
        found = familiar(texts, vectors, weights, evidence, self.encoder)
        moved = np.flatnonzero((found != vectors).any(axis=1))
        if len(moved):
            again = self._forecaster.read_all(found[moved], [asked[row] for row in moved])
            for row, reading in zip(moved.tolist(), again, strict=True):
                readings[row] = reading
        return found, readings

    def _remember(self, contexts: dict[str, NDArray[np.float64]]) -> None:
        self._contexts |= contexts
        for oldest in list(self._contexts)[: max(len(self._contexts) - CONTEXTS_KEPT, 0)]:
            del self._contexts[oldest]


def new_contexts(
    queries: Sequence[Query], beliefs: Beliefs, known: Collection[str] = ()
) -> dict[str, str]:
    """What the requests of unmarked applications have in common, for those not `known` yet."""
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
    """Return the sender as the marks name it: a tenant's may be marked without the tenant."""
    key = query.application
    if key is not None and query.signals.tenant and beliefs.number(key) is None:
        bare = key.removeprefix(f"{query.signals.tenant}:")
        key = bare if beliefs.number(bare) is not None else key
    return Asked(key, contexts.get(query.application or ""))


def _of_few_words(reading: Reading, query: Query) -> Reading:
    """The reading; messages without text give no evidence, unless the application is known."""
    return replace(reading, evidence=0.0) if query.wordless and not query.application else reading


def _tell(batch: Sequence[_Waiting], found: Sequence[Any]) -> None:
    for each, result in zip(batch, found, strict=True):
        if each.done.done():  # who asked has left
            continue
        if isinstance(result, Exception):
            each.done.set_exception(result)
        else:
            each.done.set_result(result)
