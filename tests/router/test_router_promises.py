"""Trade-offs by name in the router: what a promise asks for, and who answers without one."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from collegium.router.artifact import FittedRouter
from collegium.router.beliefs.beliefs import Held
from collegium.router.costs import Speeds
from collegium.router.decision import Limits, Query
from collegium.router.online.learner import Learner
from collegium.router.router import Router
from tests.router.desk import down
from tests.router.synthetic import GENERAL, LISTS, POOL, PRICED, SQL, WordEncoder


def with_marks(fitted: FittedRouter, count: int) -> FittedRouter:
    """The router with the held-out forecasts of so many marked prompts only."""
    rows = np.random.default_rng(0).permutation(len(fitted.held_tokens))[:count]
    held = fitted.beliefs.held_
    few = replace(fitted, beliefs=copy(fitted.beliefs), held_tokens=fitted.held_tokens[rows])
    few.beliefs.held_ = Held(held.quality[rows], held.scores[rows])
    return few


def useless(fitted: FittedRouter) -> FittedRouter:
    """The router as if its forecasts of 60 marked prompts had been worth nothing.

    General was right on 40 of them, the others, who were forecast to be better, on 20.
    """
    few = with_marks(fitted, 60)
    right = np.arange(60) % 3 == 0
    scores = np.column_stack([right, right, ~right]).astype(np.float64)
    few.beliefs.held_ = Held(np.tile([0.9, 0.8, 0.2], (60, 1)), scores)
    return few


async def test_where_few_marks_keep_no_promise_the_best_single_expert_answers(
    fitted: FittedRouter,
) -> None:
    """`auto` and a trade-off of the caller's own go on by the forecasts; the reason says why."""
    router = Router(WordEncoder(), useless(fitted), Speeds(device_watts=45.0))
    query = Query("sql tables", "collegium/balanced")
    decision = await router.decide(query, PRICED, down())
    assert (decision.expert, decision.policy, decision.incumbent) == ("general", "quality", True)
    assert (decision.tolerated, decision.price) == (0.0, 0.0)
    assert "60 marked prompts are too few to promise at most 1% less quality" in decision.reason
    assert decision.reason.endswith("so the best single expert answers.")
    for other in (Query("sql tables"), replace(query, limits=Limits(tradeoff=0.0))):
        forecast = await router.decide(other, PRICED, down())
        assert (forecast.expert, forecast.incumbent) == ("sql", False)


async def test_an_incumbent_that_cannot_answer_is_not_said_to(fitted: FittedRouter) -> None:
    """The best forecast answers in its place."""
    router = Router(WordEncoder(), useless(fitted), Speeds(device_watts=45.0))
    query = Query("sql tables", "collegium/balanced")
    decision = await router.decide(query, PRICED, down("general"))
    assert (decision.expert, decision.incumbent) == ("sql", False)
    assert decision.reason.endswith("too few to promise at most 1% less quality.")


async def test_a_budget_that_binds_goes_before_the_best_single_expert(
    fitted: FittedRouter,
) -> None:
    """Its price would buy nothing if the same expert answered all."""
    router = Router(WordEncoder(), useless(fitted), Speeds(device_watts=45.0))
    pool = [SQL, LISTS, replace(GENERAL, output_price=100.0)]
    query = Query("poems 1", "collegium/balanced")
    assert (await router.decide(query, pool, down())).expert == "general"
    bound = await router.decide(replace(query, price=1e3), pool, down())
    assert (bound.expert != "general", bound.incumbent, bound.price) == (True, False, 1e3)


@pytest.mark.parametrize("count", [0, 39])
async def test_where_nothing_can_be_promised_balanced_gives_up_nothing(
    fitted: FittedRouter, count: int
) -> None:
    """There is no best single expert either: the forecasts decide."""
    router = Router(WordEncoder(), with_marks(fitted, count), Speeds(device_watts=45.0))
    decision = await router.decide(Query("sql tables", "collegium/balanced"), PRICED, down())
    assert (decision.expert, decision.tolerated, decision.incumbent) == ("sql", 0.0, False)
    assert "too few prompts are marked" in decision.reason


async def test_a_promise_adds_its_price_to_the_budgets(fitted: FittedRouter) -> None:
    """Both are P(correct) a dollar."""
    router = Router(WordEncoder(), fitted, Speeds(device_watts=45.0))
    pool = [replace(e, output_price=p) for e, p in zip(POOL, (1.0, 1.0, 30.0), strict=True)]
    query = Query("sql tables", "collegium/cheap")
    alone = await router.decide(query, pool, down())
    both = await router.decide(replace(query, price=2.0), pool, down())
    assert alone.price > 0
    assert both.price == pytest.approx(alone.price + 2.0)


async def test_learning_leaves_the_best_single_expert_alone(
    fitted: FittedRouter,
) -> None:
    """Its bandit goes by the forecasts, which the marks do not support."""
    few = useless(fitted)
    learner = Learner.new(few, mode="on")
    router = Router(WordEncoder(), few, Speeds(device_watts=45.0), learner=learner)
    for i in range(20):
        query = Query(f"sql tables {i}", "collegium/balanced")
        assert (await router.decide(query, PRICED, down())).expert == "general"
