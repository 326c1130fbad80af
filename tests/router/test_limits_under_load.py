"""Limits that hold only while an engine has little to do: 429, to come again, and not 422."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from collegium.errors import ExpertBusy, ExpertUnavailable, NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Limits, Query
from collegium.router.router import Router
from tests.router.synthetic import POOL, SQL, WordEncoder

ALONE_MS = 10.0  # a token of an engine with nothing else to do; each other answer adds as much


@pytest.fixture
def speeds() -> Speeds:
    """All experts' answers, seen at loads of 0 to 9: they share one engine's time."""
    found = Speeds(device_watts=45.0)
    for number in range(40):
        load = number % 10
        for expert in POOL:
            tokens = 20 + number
            took_ms = tokens * ALONE_MS * (1 + load)
            found.learn(expert.name, took_ms, tokens, ttft_ms=ALONE_MS * (1 + load), load=load)
    return found


@pytest.fixture
def router(fitted: FittedRouter, speeds: Speeds) -> Router:
    """A router that has seen these answers."""
    return Router(WordEncoder(), fitted, speeds)


@contextmanager
def answering(speeds: Speeds, others: int) -> Iterator[None]:
    """So many answers are being made, by each expert's engine."""
    with ExitStack() as stack:
        for expert in POOL:
            for _ in range(others):
                stack.enter_context(speeds.in_flight.answering(expert))
        yield


def up(expert: Expert) -> ExpertUnavailable | None:
    """Everyone is there."""
    return None


async def asked(router: Router, model: str, limit_ms: float) -> Decision:
    """A decision under a limit on the time."""
    query = Query("sql tables", model, Limits(max_latency_ms=limit_ms))
    return await router.decide(query, POOL, up)


@pytest.mark.parametrize("model", ["auto", SQL.name])
async def test_load_is_answered_with_429_and_a_time_to_come_back(
    router: Router, speeds: Speeds, model: str
) -> None:
    """The same request is answered when the engine has nothing else to do."""
    alone = await asked(router, model, 1e9)
    limit_ms = 2 * alone.forecast.latency_ms
    assert (await asked(router, model, limit_ms)).forecast.feasible
    with answering(speeds, 9), pytest.raises(ExpertBusy, match="less to do") as busy:
        await asked(router, model, limit_ms)
    assert busy.value.http_status == 429
    assert busy.value.retry_after_s is not None
    assert busy.value.retry_after_s >= 1
    assert (await asked(router, model, limit_ms)).forecast.feasible


@pytest.mark.parametrize("model", ["auto", SQL.name])
async def test_what_nobody_could_ever_keep_is_422_under_load_too(
    router: Router, speeds: Speeds, model: str
) -> None:
    """To come again would be in vain."""
    for others in (0, 9):
        with answering(speeds, others), pytest.raises(NoFeasibleExpert, match="max_latency_ms"):
            await asked(router, model, 1.0)


async def test_a_limit_that_load_does_not_touch_is_422(router: Router, speeds: Speeds) -> None:
    """An idle engine answers no better."""
    query = Query("sql tables", SQL.name, Limits(max_latency_ms=1e9, min_quality=0.9999))
    with answering(speeds, 9), pytest.raises(NoFeasibleExpert, match="min_quality"):
        await router.decide(query, POOL, up)


async def test_who_is_down_is_not_called_busy(router: Router, speeds: Speeds) -> None:
    """It would keep the limits if it were idle, but it is not there: nobody is."""
    alone = await asked(router, "auto", 1e9)
    limits = Limits(max_latency_ms=2 * alone.forecast.latency_ms)
    query = Query("sql tables", "auto", limits)
    with answering(speeds, 9), pytest.raises(NoFeasibleExpert):
        await router.decide(query, POOL, lambda e: ExpertUnavailable(e.name, "starting", 7))
