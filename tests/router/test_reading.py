"""Queries that wait together are read together, and don't suffer from each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router import reading
from collegium.router.applications.signals import Signals
from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.forecasting import Forecaster
from collegium.router.reading import Read, Reader
from collegium.router.training import fit_router
from tests.router.synthetic import WordEncoder, measured

TEXTS = [f"{word} {i}" for i in range(8) for word in ("sql", "lists", "weather")]
PROMPT = "You answer the questions of our customers in one sentence and say what you do not know."


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


@pytest.fixture(scope="module")
def by_context() -> FittedRouter:
    """A router of applications that are told by their system prompts."""
    data = measured(each=20)
    signals = [Signals(tag=skill, system=f"{skill} {PROMPT}") for skill in data.skills]
    return fit_router(replace(data, signals=signals), WordEncoder())


def asked(text: str, application: str | None, system: str = f"sql {PROMPT}") -> Query:
    """One query of an application with a system prompt."""
    return Query(text, application=application, signals=Signals(system=system))


async def test_an_unmarked_applications_prompt_is_read_once(
    encoder: PickyEncoder, by_context: FittedRouter
) -> None:
    """In the same batch as its first queries; later ones read their texts alone."""
    reader = Reader(encoder, Forecaster(by_context, Speeds(45.0)))
    queries = [asked("weather 1", "new"), asked("weather 2", "new"), asked("sql 3", None)]
    await asyncio.gather(*map(reader.read, queries))
    assert sum(encoder.batches) == 4
    assert [text for text in encoder.texts if PROMPT in text] == [f"sql {PROMPT}"]
    await reader.read(asked("weather 4", "new"))
    await reader.read(asked("weather 5", "other", "lists please"))
    assert encoder.batches[-2:] == [1, 2]


async def test_a_marked_applications_prompt_need_not_be_read(
    encoder: PickyEncoder, by_context: FittedRouter
) -> None:
    """Its marks say more."""
    known = by_context.beliefs.applications_[0]
    reader = Reader(encoder, Forecaster(by_context, Speeds(45.0)))
    await reader.read(asked("weather", known))
    assert encoder.batches == [1]


async def test_where_contexts_tell_nothing_none_is_read(
    reader: Reader, encoder: PickyEncoder
) -> None:
    """The marked prompts came without any."""
    await reader.read(asked("weather", "new"))
    assert encoder.batches == [1]


async def test_only_so_many_contexts_are_remembered(
    by_context: FittedRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is read again."""
    monkeypatch.setattr(reading, "CONTEXTS_KEPT", 2)
    encoder = PickyEncoder(quick=True)
    reader = Reader(encoder, Forecaster(by_context, Speeds(45.0)))
    for application in ("a", "b", "c", "c", "a"):
        await reader.read(asked("weather", application))
    assert encoder.batches == [2, 2, 2, 1, 2]
