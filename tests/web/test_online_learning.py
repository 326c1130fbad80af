"""Replicas on one database learn from each other's ratings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from collegium.registry.online_state import OnlineState
from collegium.registry.state import MemoryState
from collegium.registry.storage.database import Database
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Query
from collegium.router.online.learner import Learner
from collegium.router.router import Router
from collegium.web.serving.learning import Learning
from tests.router.synthetic import POOL, WordEncoder, fitted_router

FITTED = fitted_router()


class Replica:
    """What learns and decides in one process."""

    def __init__(self, database: Database, trials: MemoryState, seed: int) -> None:
        self.learning = Learning(OnlineState(database), trials)
        learner = Learner.new(FITTED, mode="on")
        learner._random = np.random.default_rng(seed)
        self.router = Router(WordEncoder(), FITTED, Speeds(1.0), learner=learner)
        self.learner = self.learning.open(learner)

    async def answered(self, text: str) -> Decision:
        """A decision whose expert has answered."""
        decision = await self.router.decide(Query(text), POOL, lambda expert: None)
        await self.learning.keep(decision.id)
        return decision


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[list[Replica]]:
    """Three of them."""
    database, trials = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}"), MemoryState()
    await database.migrate()
    yield [Replica(database, trials, seed) for seed in range(3)]
    await database.close()


async def test_a_rating_teaches_all_replicas_wherever_it_arrives(replicas: list[Replica]) -> None:
    """Asked of one, rated at the next: the third decides by it, and none is lost."""
    for i in range(300):
        asked, rated = replicas[i % 3], replicas[(i + 1) % 3]
        decision = await asked.answered(f"sql number {i}")
        await rated.learning.rate(decision.id, float(decision.expert == "general"), "")
    for replica in replicas:
        await replica.learning.look()
        chosen = [(await replica.answered(f"sql then {i}")).expert for i in range(40)]
        assert chosen.count("general") > 30
    assert await replicas[0].learning._learnt.revision() == 300


async def test_a_replica_that_starts_goes_on(replicas: list[Replica]) -> None:
    """With the first look; a rating of a decision that nobody remembers teaches nothing."""
    here, there, _ = replicas
    decision = await here.answered("sql one")
    await there.learning.rate("dec_of_old", 1.0, "")
    assert await there.learning._learnt.revision() == 0
    await there.learning.rate(decision.id, 0.0, "")
    await here.learning.look()
    mine, theirs = (replica.learner._bandit.quality.moment for replica in (here, there))
    np.testing.assert_array_equal(mine, theirs)
    assert np.abs(mine).sum() > 0


async def test_only_the_chosen_experts_answers_are_rated(replicas: list[Replica]) -> None:
    """Another one answered: the rating is not of the choice."""
    here = replicas[0]
    decision = await here.router.decide(Query("sql one"), POOL, lambda expert: None)
    here.learning.forget(decision.id)
    await here.learning.keep(decision.id)
    await here.learning.rate(decision.id, 1.0, "")
    assert await here.learning._learnt.revision() == 0


async def test_a_damaged_state_is_learnt_anew(
    replicas: list[Replica], caplog: pytest.LogCaptureFixture
) -> None:
    """It does not keep ratings from being taken."""
    here = replicas[0]
    await here.learning._learnt.change(lambda learnt: ("{}", b""))
    await here.learning.look()
    assert "learnt anew" in caplog.text
    decision = await here.answered("sql one")
    await here.learning.rate(decision.id, 1.0, "")
    await replicas[1].learning.look()
