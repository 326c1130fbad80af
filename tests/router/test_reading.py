"""Queries that wait together are read together, and don't suffer from each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.forecasting import Forecaster
from collegium.router.reading import Read, Reader
from tests.router.synthetic import WordEncoder

TEXTS = [f"{word} {i}" for i in range(8) for word in ("sql", "lists", "weather")]


class PickyEncoder(WordEncoder):
    """Counts its batches, and raises at a text that it can't read."""

    def __init__(self, *, quick: bool) -> None:
        super().__init__()
        self.quick = quick
        self.batches: list[int] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As a tokenizer does with half a surrogate pair, the whole batch fails."""
        self.batches.append(len(texts))
        for text in texts:
            text.encode()
        return super().encode(texts)


@pytest.fixture(params=[True, False], ids=["quick", "slow"])
def encoder(request: pytest.FixtureRequest) -> PickyEncoder:
    """In the event loop, and in a thread."""
    return PickyEncoder(quick=request.param)


@pytest.fixture
def reader(encoder: PickyEncoder, fitted: FittedRouter) -> Reader:
    """A reader of the shared router."""
    return Reader(encoder, Forecaster(fitted, Speeds(45.0)))


async def test_what_waits_together_is_read_together(
    reader: Reader, encoder: PickyEncoder, fitted: FittedRouter
) -> None:
    """In few batches, and everybody gets what reading it alone says."""
    found = await asyncio.gather(*map(reader.read, map(Query, TEXTS)))
    assert len(encoder.batches) <= 2
    forecaster = Forecaster(fitted, Speeds(45.0))
    for text, read in zip(TEXTS, found, strict=True):
        vector = WordEncoder().encode([text])[0].astype(np.float64)
        alone = forecaster.read(vector)
        assert (read.embedding == vector).all()
        assert read.reading.evidence == pytest.approx(alone.evidence)
        assert (read.reading.evidence == 0.0) is text.startswith("weather")
        assert read.reading.skills == pytest.approx(alone.skills)
        for mine, other in (
            (read.reading.quality, alone.quality),
            (read.reading.deviation, alone.deviation),
            (read.reading.tokens, alone.tokens),
            (read.reading.ms_per_token, alone.ms_per_token),
        ):
            assert dict(mine) == pytest.approx(dict(other))


async def test_a_text_that_can_not_be_read_fails_alone(reader: Reader) -> None:
    """The others of its batch are read."""
    texts = [*TEXTS[:5], "sql \ud800", *TEXTS[5:9]]
    found = await asyncio.gather(*map(reader.read, map(Query, texts)), return_exceptions=True)
    assert isinstance(found.pop(5), UnicodeEncodeError)
    assert all(isinstance(read, Read) for read in found)


async def test_who_leaves_is_not_waited_for(reader: Reader) -> None:
    """A cancelled one takes nobody along, and the next batch is read."""
    tasks = [asyncio.create_task(reader.read(Query(text))) for text in TEXTS]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(read, Read) for read in found[1::2])
    assert isinstance(await reader.read(Query("sql")), Read)
