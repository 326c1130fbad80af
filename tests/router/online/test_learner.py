"""Learning while serving: from a decision and its ratings to another decision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collegium.router.costs import Speeds
from collegium.router.decision import Limits, Query
from collegium.router.online.learner import Learner, Mode
from collegium.router.router import Router
from tests.router.synthetic import GENERAL, LISTS, POOL, SQL, WordEncoder, fitted_router

FITTED = fitted_router()


def everyone(expert: object) -> None:
    """Nobody is down."""


def learner(folder: Path, mode: Mode = "on") -> Learner:
    """One that draws the same every time."""
    made = Learner.open(folder, FITTED, mode=mode)
    made._random = np.random.default_rng(0)
    return made


def router(learning: Learner | None) -> Router:
    """The router with what learns."""
    return Router(WordEncoder(), FITTED, Speeds(1.0), learner=learning)


async def taught(learning: Learner, *, rounds: int = 400, good: str = "general") -> None:
    """Ask the same kind of query; only `good` is rated well, by the operator."""
    serving = router(learning)
    for i in range(rounds):
        decision = await serving.decide(Query(f"sql number {i}"), POOL, everyone)
        learning.rate(decision.id, float(decision.expert == good), "")


async def test_an_expert_that_got_worse_is_left(tmp_path: Path) -> None:
    """The forecasts say sql; 400 ratings say otherwise."""
    learning = learner(tmp_path)
    await taught(learning)
    chosen = [
        await router(learning).decide(Query(f"sql then {i}"), POOL, everyone) for i in range(40)
    ]
    assert sum(d.expert == "general" for d in chosen) > 30
    learnt = next(d for d in chosen if d.expert == "general")
    assert learnt.policy == "online"
    assert 0 < learnt.propensity <= 1
    assert "would have sent it to sql" in learnt.reason


async def test_a_shadow_only_watches(tmp_path: Path) -> None:
    """It learns, and every choice stays the router's own, with certainty."""
    learning = learner(tmp_path, "shadow")
    await taught(learning, rounds=60)
    decision = await router(learning).decide(Query("sql again"), POOL, everyone)
    assert (decision.expert, decision.policy, decision.propensity) == ("sql", "quality", 1.0)
    assert learning.ratings == 60


async def test_what_was_learnt_outlives_a_restart(tmp_path: Path) -> None:
    """Saved, opened and going on; another router's embedding begins anew."""
    learning = learner(tmp_path)
    await taught(learning)
    learning.save(tmp_path)
    again = learner(tmp_path)
    chosen = [await router(again).decide(Query(f"sql {i}"), POOL, everyone) for i in range(40)]
    assert sum(d.expert == "general" for d in chosen) > 30


async def test_an_expert_that_joins_is_taken_in(tmp_path: Path) -> None:
    """The others keep what was learnt of them."""
    learning = learner(tmp_path)
    serving = router(learning)
    await serving.decide(Query("sql one"), (SQL, LISTS), everyone)
    decision = await serving.decide(Query("sql two"), (SQL, LISTS, GENERAL), everyone)
    assert decision.expert in {"sql", "lists", "general"}
    assert learning.rate(decision.id, 1.0, "")


@pytest.mark.parametrize("limits", [Limits(tradeoff=5.0), Limits(experts_allow=("sql",))])
async def test_limits_are_kept(tmp_path: Path, limits: Limits) -> None:
    """A trade-off is the forecasts' promise; an expert alone has no rival."""
    learning = learner(tmp_path)
    await taught(learning)
    decision = await router(learning).decide(Query("sql", limits=limits), POOL, everyone)
    assert decision.expert == "sql" or limits.tradeoff
    assert decision.policy == "quality"


async def test_unknown_decisions_teach_nothing(tmp_path: Path) -> None:
    """A rating of a decision of another day."""
    assert not learner(tmp_path).rate("dec_of_old", 1.0, "")


async def test_a_rating_of_somebody_elses_answer_teaches_nothing(tmp_path: Path) -> None:
    """The chosen expert was down, and another one took its place."""
    learning = learner(tmp_path)
    decision = await router(learning).decide(Query("sql please"), POOL, everyone)
    learning.forget(decision.id)
    assert not learning.rate(decision.id, 1.0, "")
