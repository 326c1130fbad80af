"""A large pool is narrowed to few experts, and the choice among them is the choice among all."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.errors import ExpertUnavailable
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.beliefs.beliefs import Held
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Limits, Query
from collegium.router.router import Router
from collegium.router.shortlist import SIZE
from tests.router.synthetic import REGISTERED, SKILLS, WordEncoder, fitted_router

MANY = 300


def crowd(count: int = MANY, seed: int = 0) -> tuple[Expert, ...]:
    """Newcomers with levels and prices of their own, beside three measured experts."""
    rng = np.random.default_rng(seed)
    levels, prices = rng.random((count, len(SKILLS))), rng.random(count)
    newcomers = (
        Expert(
            f"e{i}",
            "openai",
            f"e{i}",
            base_url="http://h/v1",
            skills=dict(zip(SKILLS, map(float, levels[i]), strict=True)),
            input_price=0.0,
            output_price=float(prices[i]),
        )
        for i in range(count)
    )
    sql, lists, general = REGISTERED
    return (*newcomers, sql, lists, replace(general, input_price=0.0, output_price=0.5))


class Desk:
    """Decides with and without a shortlist."""

    def __init__(self, fitted: FittedRouter) -> None:
        self.short = Router(WordEncoder(), fitted, Speeds(45.0))
        self.whole = Router(WordEncoder(), fitted, Speeds(45.0), shortlist=10**9)

    async def both(
        self, query: Query, experts: Sequence[Expert], down: Sequence[str] = ()
    ) -> tuple[Decision, Decision]:
        """The decision on the shortlist, and that on the whole pool."""

        def unavailable(expert: Expert) -> ExpertUnavailable | None:
            return ExpertUnavailable(expert.name, "down") if expert.name in down else None

        short = await self.short.decide(query, experts, unavailable)
        return short, await self.whole.decide(query, experts, unavailable)


@pytest.fixture(scope="module")
def fitted() -> FittedRouter:
    """A router that knows three of the crowd."""
    return fitted_router(REGISTERED)


@pytest.fixture(scope="module")
def desk(fitted: FittedRouter) -> Desk:
    """Two routers that learnt the same."""
    return Desk(fitted)


@given(
    text=st.sampled_from(["sql a", "lists b", "poems c", "weather d"]),
    tradeoff=st.sampled_from([0.0, 1.0, 3.0, 5.0, 8.0, 10.0]),
    seed=st.integers(0, 5),
    session=st.sampled_from([None, "e7", "sql", "gone"]),
    down=st.sets(st.integers(0, MANY - 1), max_size=100),
)
async def test_the_choice_is_that_of_the_whole_pool(
    fitted: FittedRouter,
    text: str,
    tradeoff: float,
    seed: int,
    session: str | None,
    down: set[int],
) -> None:
    """Whatever is asked, at whatever price, whoever is down."""
    query = Query(text, limits=Limits(tradeoff=tradeoff), session_expert=session)
    names = [f"e{i}" for i in down]
    short, whole = await Desk(fitted).both(query, crowd(seed=seed), names)
    assert (short.expert, short.policy) == (whole.expert, whole.policy)
    assert short.forecast == whole.forecast
    said, all_said = (d.reason.partition(" Not available now:")[0] for d in (short, whole))
    assert said == all_said, "but for who is down and would not have been asked anyway"


@given(
    text=st.sampled_from(["sql a", "sql films", "lists b", "poems c", "weather d"]),
    price=st.sampled_from([1.0, 1e3, 1e5, 1e7]),
    tradeoff=st.sampled_from([0.0, 1.0, 3.0, 10.0]),
    generalists=st.sampled_from([0, 1, 3]),
    seed=st.integers(0, 3),
)
@settings(max_examples=40)
async def test_of_a_thousand_the_choice_at_a_price_is_that_of_the_whole_pool(
    fitted: FittedRouter, text: str, price: float, tradeoff: float, generalists: int, seed: int
) -> None:
    """One in so many is a generalist, who counts for more where the marks say little."""
    pool = [
        replace(e, generalist=bool(generalists) and i % generalists == 0, output_price=None)
        if i % 7 == 3
        else replace(e, generalist=bool(generalists) and i % generalists == 0)
        for i, e in enumerate(crowd(1_000, seed))
    ]
    query = Query(text, limits=Limits(tradeoff=tradeoff), price=price)
    short, whole = await Desk(fitted).both(query, pool)
    assert (short.expert, short.policy) == (whole.expert, whole.policy)
    assert short.forecast == whole.forecast
    assert short.price == whole.price == price
    assert len(short.forecasts) <= 4 * SIZE


@pytest.mark.parametrize("model", ["collegium/balanced", "collegium/cheap"])
async def test_the_best_single_expert_is_on_the_list(fitted: FittedRouter, model: str) -> None:
    """It answers where the marks support no trade-off, whoever is forecast to be better."""
    held = Held(fitted.beliefs.held_.quality[:50], fitted.beliefs.held_.scores[:50] * 0.0)
    held.scores[::2, 2] = 1.0
    few = replace(fitted, beliefs=copy(fitted.beliefs), held_tokens=fitted.held_tokens[:50])
    few.beliefs.held_ = replace(held, quality=1 - held.scores)
    *others, general = crowd(1_000)
    priced = [replace(e, input_price=0.0, output_price=0.4) for e in others[-2:]]
    pool = (*others[:-2], *priced, general)
    short, whole = await Desk(few).both(Query("sql a", model), pool)
    assert (short.expert, whole.expert) == ("general", "general")
    assert (short.incumbent, whole.incumbent) == (True, True)
    assert short.reason == whole.reason
    assert "so the best single expert answers" in short.reason


async def test_only_few_experts_of_a_large_pool_are_forecast(desk: Desk) -> None:
    """The best ones come first, as in the whole pool's list."""
    short, whole = await desk.both(Query("sql tables"), crowd())
    assert len(whole.forecasts) == MANY + 3
    assert len(short.forecasts) <= SIZE
    assert short.forecasts[: SIZE // 2] == whole.forecasts[: SIZE // 2]


async def test_those_that_are_down_take_nobodys_place(desk: Desk) -> None:
    """They are told, and the others are as many as ever."""
    everyone, _ = await desk.both(Query("sql tables"), crowd())
    best = [f.expert for f in everyone.forecasts[:5]]
    short, _ = await desk.both(Query("sql tables"), crowd(), down=best)
    down = [f.expert for f in short.forecasts if f.note == "not available now"]
    assert sorted(down) == sorted(best)
    assert len(short.forecasts) - len(down) >= SIZE // 2


@pytest.mark.parametrize(
    "query",
    [
        Query("sql tables", limits=Limits(max_cost_usd=1.0)),
        Query("sql tables", limits=Limits(max_latency_ms=1e6)),
        Query("sql tables", limits=Limits(min_quality=0.1)),
        Query("sql tables", requested_model="e9"),
    ],
)
async def test_with_limits_or_a_name_everyone_is_forecast(desk: Desk, query: Query) -> None:
    """Feasibility is told of each expert."""
    short, whole = await desk.both(query, crowd())
    assert replace(short, id="", overhead_ms=0) == replace(whole, id="", overhead_ms=0)
    assert len(short.forecasts) == MANY + 3


async def test_a_pool_that_has_changed_is_read_anew(desk: Desk) -> None:
    """A new price or expert counts from the next query on."""
    pool = crowd()
    query = Query("sql tables", limits=Limits(tradeoff=10.0))
    before, _ = await desk.both(query, pool)
    dear = [replace(e, output_price=99.0) if e.name == before.expert else e for e in pool]
    after, whole = await desk.both(query, dear)
    assert after.expert == whole.expert != before.expert


async def test_of_unknown_price_is_who_is_dearest(desk: Desk) -> None:
    """The shortlist and the whole pool agree on the cheapest of the known."""
    pool = [replace(e, output_price=None) if i % 2 else e for i, e in enumerate(crowd())]
    short, whole = await desk.both(Query("sql tables", limits=Limits(tradeoff=10.0)), pool)
    assert short.expert == whole.expert
    assert short.forecast.cost_usd is not None


async def test_what_each_request_costs_counts(desk: Desk) -> None:
    """Also where its tokens are cheap."""
    equal = [replace(e, skills=dict.fromkeys(SKILLS, 0.99)) for e in crowd()[:MANY]]
    *dear, plain = sorted(equal, key=lambda e: e.output_price or 0.0)
    pool = (*(replace(e, prices={"request": 1.0}) for e in dear), plain)
    query = Query("sql a", limits=Limits(tradeoff=10.0))
    short, whole = await desk.both(query, pool)
    assert short.expert == whole.expert == plain.name


async def test_where_the_generalists_are_down_somebody_else_answers(desk: Desk) -> None:
    """A strange query is answered as long as anyone is there."""
    short, whole = await desk.both(Query("weather"), crowd(), down=["general"])
    assert short.expert == whole.expert != "general"


async def test_where_everyone_is_down_the_caller_is_told(desk: Desk) -> None:
    """503, as from a small pool."""
    pool = crowd()
    with pytest.raises(ExpertUnavailable):
        await desk.both(Query("sql tables"), pool, down=[e.name for e in pool])
