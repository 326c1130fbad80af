"""Engines that take turns: the wait for one is part of an answer's time, and of its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from collegium.errors import ExpertBusy, NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Limits, Query
from collegium.router.forecasting import Waits
from collegium.router.router import Router
from tests.router.desk import NOBODY_DOWN, of
from tests.router.synthetic import GENERAL, LISTS, POOL, SQL, WordEncoder


@pytest.fixture
def router(fitted: FittedRouter) -> Router:
    """A router that has seen no answer yet."""
    return Router(WordEncoder(), fitted, Speeds(device_watts=45.0))


def after(seconds: Mapping[str, float]) -> Waits:
    """These experts' engines are loaded in so many seconds, the others' now."""
    return lambda expert, within_s: seconds.get(expert.name, 0.0)


async def asked(
    router: Router,
    waits: Waits | None,
    model: str = "auto",
    experts: Sequence[Expert] = POOL,
    session: str | None = None,
    **limits: Any,
) -> Decision:
    """A decision on a query for SQL."""
    query = Query("sql tables", model, Limits(**limits), session_expert=session)
    return await router.decide(query, experts, NOBODY_DOWN, waits)


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


TWIN = replace(SQL, name="twin", adapter="twin", skills={"sql": 0.93, "lists": 0.5, "general": 0.5})
"""Not as good at SQL as the expert for it, by a few points."""
WITH_TWIN = (*POOL, TWIN)


async def test_nearly_as_good_and_loaded_is_taken_for_a_penalty(fitted: FittedRouter) -> None:
    """A minute for so many points: the request's word counts before the service's, 0 is never."""
    speeds = Speeds(device_watts=45.0)
    patient = Router(WordEncoder(), fitted, speeds)
    hasty = Router(WordEncoder(), fitted, speeds, wait_penalty=0.2)
    waits = after({SQL.name: 120.0})
    free = await asked(hasty, after({}), experts=WITH_TWIN)
    gap = (of(free, SQL.name).quality or 0) - (of(free, TWIN.name).quality or 0)
    assert (free.expert, 0 < gap < 0.4) == (SQL.name, True)
    chosen = await asked(hasty, waits, experts=WITH_TWIN)
    assert (chosen.expert, chosen.policy) == (TWIN.name, "waiting")
    assert "sql" in chosen.reason
    assert "is not loaded, and has its turn in about 120 s" in chosen.reason
    for router, penalty in ((patient, None), (hasty, 0.0), (hasty, gap / 2 - 0.001)):
        stays = await asked(router, waits, experts=WITH_TWIN, wait_penalty=penalty)
        assert (stays.expert, stays.policy) == (SQL.name, "quality")
    goes = await asked(patient, waits, experts=WITH_TWIN, wait_penalty=gap / 2 + 0.001)
    assert goes.expert == TWIN.name
    named = await asked(hasty, waits, SQL.name, experts=WITH_TWIN)
    assert (named.expert, named.policy) == (SQL.name, "named")


async def test_no_money_is_spent_to_wait_less(fitted: FittedRouter) -> None:
    """A twin with a price does not take the place of one that is free."""
    router = Router(WordEncoder(), fitted, Speeds(device_watts=45.0), wait_penalty=0.2)
    dear = (*POOL, replace(TWIN, output_price=1.0))
    assert (await asked(router, after({SQL.name: 120.0}), experts=dear)).expert == SQL.name


async def test_a_conversation_does_not_wait_for_its_expert(fitted: FittedRouter) -> None:
    """It stays with who is loaded, and leaves who would have to be."""
    router = Router(WordEncoder(), fitted, Speeds(device_watts=45.0), wait_penalty=0.2)
    stays = await asked(router, after({SQL.name: 120.0}), experts=WITH_TWIN, session=TWIN.name)
    assert (stays.expert, stays.policy) == (TWIN.name, "session")
    leaves = await asked(router, after({TWIN.name: 120.0}), experts=WITH_TWIN, session=TWIN.name)
    assert (leaves.expert, leaves.policy) == (SQL.name, "waiting")


async def test_of_a_large_pool_who_is_loaded_is_seen(fitted: FittedRouter) -> None:
    """Also where others than it would be on the shortlist."""
    router = Router(WordEncoder(), fitted, Speeds(device_watts=45.0), shortlist=2, wait_penalty=0.9)
    twins = [replace(TWIN, name=f"twin-{n}", adapter=f"twin-{n}") for n in range(9)]
    last = replace(TWIN, name="last", adapter="last", skills={**TWIN.skills, "sql": 0.9})
    waits = after({e.name: 60.0 for e in (*POOL, *twins)})
    assert (await asked(router, waits, experts=(*POOL, *twins, last))).expert == "last"


async def test_a_floor_is_not_crossed_to_wait_less(fitted: FittedRouter) -> None:
    """What a router's card guarantees holds for waiting as it does for money."""
    sure = replace(fitted, card={**fitted.card, "floor": {"tolerance": 0.0}})
    router = Router(WordEncoder(), sure, Speeds(device_watts=45.0), wait_penalty=0.2)
    assert (await asked(router, after({SQL.name: 120.0}), experts=WITH_TWIN)).expert == SQL.name
