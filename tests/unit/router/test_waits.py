"""Engines that take turns: the wait for one is part of an answer's time, and of its limits."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from collegium.errors import ExpertBusy, NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Limits, Query
from collegium.router.forecasting import Waits
from collegium.router.router import Router
from tests.unit.router.desk import NOBODY_DOWN, of
from tests.unit.router.synthetic import GENERAL, LISTS, POOL, SQL, WordEncoder


@pytest.fixture
def router(fitted: FittedRouter) -> Router:
    """A router that has seen no answer yet."""
    return Router(WordEncoder(), fitted, Speeds(device_watts=45.0))


def after(seconds: Mapping[str, float]) -> Waits:
    """These experts' engines are loaded in so many seconds, the others' now."""
    return lambda expert, within_s: seconds.get(expert.name, 0.0)


async def asked(
    router: Router, waits: Waits | None, model: str = "auto", max_latency_ms: float | None = None
) -> Decision:
    """A decision on a query for SQL."""
    query = Query("sql films", model, Limits(max_latency_ms=max_latency_ms))
    return await router.decide(query, POOL, NOBODY_DOWN, waits)


async def test_the_wait_is_in_the_latency_and_takes_no_energy(router: Router) -> None:
    """The decision says so; who is loaded, and everybody where none takes turns, waits for none."""
    alone = await asked(router, None)
    decision = await asked(router, after({SQL.name: 80.0}))
    assert alone.expert == decision.expert == SQL.name
    assert decision.forecast.wait_ms == 80_000
    assert decision.forecast.answer_ms == pytest.approx(alone.forecast.latency_ms)
    assert decision.forecast.energy_j == alone.forecast.energy_j
    assert "has its turn in about 80 s" in decision.reason
    assert "turn" not in alone.reason
    assert {f.wait_ms for f in (*alone.forecasts, of(decision, LISTS.name))} == {0.0}


async def test_who_cannot_make_it_is_passed_over(router: Router) -> None:
    """The best one that is loaded answers instead, and the reason says why."""
    decision = await asked(router, after({SQL.name: 80.0}), max_latency_ms=60_000)
    assert decision.expert != SQL.name
    assert not of(decision, SQL.name).feasible
    assert "80 s of it until its engine is loaded" in of(decision, SQL.name).note
    assert "until its engine is loaded" in decision.reason
    in_time = await asked(router, after({SQL.name: 80.0}), max_latency_ms=120_000)
    assert in_time.expert == SQL.name


@pytest.mark.parametrize("model", ["auto", SQL.name])
async def test_where_nobody_is_loaded_in_time_it_is_429(router: Router, model: str) -> None:
    """With the time to come back in, and what to do; a limit too short for any answer is 422."""
    waits = after({SQL.name: 80.0, LISTS.name: 90.0, GENERAL.name: 100.0})
    with pytest.raises(ExpertBusy, match=r"its engine is loaded.* in about 80 s") as busy:
        await asked(router, waits, model, max_latency_ms=60_000)
    assert busy.value.retry_after_s is not None
    assert 20 <= busy.value.retry_after_s <= 30
    with pytest.raises(NoFeasibleExpert, match="max_latency_ms"):
        await asked(router, waits, model, max_latency_ms=1.0)


async def test_a_deadline_is_told_without_the_answer(router: Router) -> None:
    """What is left for the engine to come is the limit less what the answer takes."""
    told: dict[str, float | None] = {}

    def waits(expert: Expert, within_s: float | None) -> float:
        told[expert.name] = within_s
        return 0.0

    await asked(router, waits)
    assert told[SQL.name] is None
    decision = await asked(router, waits, max_latency_ms=60_000)
    assert told[SQL.name] == pytest.approx(60 - decision.forecast.latency_ms / 1000)
