"""Learning while serving: from a decision and its ratings to another decision."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.router.costs import Speeds
from collegium.router.decision import Limits, Query
from collegium.router.online.learner import Array, Learner, Mode
from collegium.router.router import Router
from tests.router.synthetic import GENERAL, LISTS, POOL, SQL, WordEncoder, fitted_router

FITTED = fitted_router()


def everyone(expert: object) -> None:
    """Nobody is down."""


def learner(mode: Mode = "on") -> Learner:
    """One that draws the same every time."""
    made = Learner.new(FITTED, mode=mode)
    made._random = np.random.default_rng(0)
    return made


def router(learning: Learner | None) -> Router:
    """The router with what learns."""
    return Router(WordEncoder(), FITTED, Speeds(1.0), learner=learning)


async def taught(
    learning: Learner, *, rounds: int = 400, good: str = "general", source: str = ""
) -> None:
    """Ask the same kind of query; only `good` is rated well, by the operator or a `source`."""
    serving = router(learning)
    for i in range(rounds):
        decision = await serving.decide(Query(f"sql number {i}"), POOL, everyone)
        rate(learning, decision.id, float(decision.expert == good), source)


def rate(learning: Learner, decision_id: str, rating: float, source: str = "") -> bool:
    """Let a rating teach, by default the operator's; whether there was something to learn."""
    trial = learning.take(decision_id)
    if trial is not None:
        learning.learn(trial, rating, source)
    return trial is not None


async def test_an_expert_that_got_worse_is_left() -> None:
    """The forecasts say sql; 400 ratings say otherwise."""
    learning = learner()
    await taught(learning)
    chosen = [
        await router(learning).decide(Query(f"sql then {i}"), POOL, everyone) for i in range(40)
    ]
    assert sum(d.expert == "general" for d in chosen) > 30
    learnt = next(d for d in chosen if d.expert == "general")
    assert learnt.policy == "online"
    assert 0 < learnt.propensity <= 1
    assert "would have sent it to sql" in learnt.reason


async def test_a_shadow_only_watches() -> None:
    """It learns, and every choice stays the router's own, with certainty."""
    learning = learner("shadow")
    await taught(learning, rounds=60)
    decision = await router(learning).decide(Query("sql again"), POOL, everyone)
    assert (decision.expert, decision.policy, decision.propensity) == ("sql", "quality", 1.0)
    assert learning.state() != learner("shadow").state()


async def test_what_was_learnt_is_taken_over() -> None:
    """By another replica, or after a restart; experts are known by their names."""
    learning = learner()
    await taught(learning)
    again = learner()
    await router(again).decide(Query("lists"), (LISTS,), everyone)
    again.take_over(*learning.state())
    chosen = [await router(again).decide(Query(f"sql {i}"), POOL, everyone) for i in range(40)]
    assert sum(d.expert == "general" for d in chosen) > 30


async def test_an_expert_that_joins_is_taken_in() -> None:
    """The others keep what was learnt of them."""
    learning = learner()
    serving = router(learning)
    await serving.decide(Query("sql one"), (SQL, LISTS), everyone)
    decision = await serving.decide(Query("sql two"), (SQL, LISTS, GENERAL), everyone)
    assert decision.expert in {"sql", "lists", "general"}
    assert rate(learning, decision.id, 1.0)


@pytest.mark.parametrize("limits", [Limits(tradeoff=5.0), Limits(experts_allow=("sql",))])
async def test_limits_are_kept(limits: Limits) -> None:
    """A trade-off is the forecasts' promise; an expert alone has no rival."""
    learning = learner()
    await taught(learning)
    decision = await router(learning).decide(Query("sql", limits=limits), POOL, everyone)
    assert decision.expert == "sql" or limits.tradeoff
    assert decision.policy == "quality"


async def test_unknown_decisions_teach_nothing() -> None:
    """A rating of a decision of another day."""
    assert learner().take("dec_of_old") is None


async def test_a_trial_is_learnt_from_wherever_it_comes() -> None:
    """Another replica, whose experts have other columns, learns from it what this one would."""
    here, there = learner(), learner()
    decision = await router(here).decide(Query("sql please"), POOL, everyone)
    await router(there).decide(Query("lists"), (LISTS, GENERAL), everyone)
    trial = here.take(decision.id)
    assert trial is not None
    assert here.take(decision.id) is None
    there.learn(trial, 0.0, "")
    here.learn(trial, 0.0, "")
    again = [learner(), learner()]
    for one, state in zip(again, (here.state(), there.state()), strict=True):
        one.take_over(*state)
    x = np.random.default_rng(1).normal(size=len(here._bandit.projection.mean))
    found = [_learnt(one, decision.expert, x) for one in again]
    assert found[0] == pytest.approx(found[1])
    assert found[0] != 0


def _learnt(one: Learner, expert: str, x: Array) -> float:
    """How far an expert is from its forecast by now, for the embedding of one query."""
    column, none = one._column[expert], np.zeros(len(one._column))
    return float(one._bandit.expected(x, none, none)[column])


async def test_a_thousand_ratings_of_one_source_count_as_one() -> None:
    """A client address of a service without keys is a source like a caller's key."""
    learning = learner()
    await taught(learning, rounds=1000, source="127.0.0.1")
    chosen = [await router(learning).decide(Query(f"sql {i}"), POOL, everyone) for i in range(100)]
    assert sum(d.expert == "sql" for d in chosen) > 90
    mass = learning._bandit.caps.mass.sum(axis=0)
    assert (mass <= learning._bandit.settings.source_cap + 1e-9).all()
