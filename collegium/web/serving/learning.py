"""Online learning while serving; all replicas share what is learnt."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from collegium.errors import ArtifactRejected, CollegiumError
from collegium.registry.background import Repeating
from collegium.registry.state import SharedState

if TYPE_CHECKING:
    from collegium.registry.online_state import Learnt, OnlineState
    from collegium.router.online.learner import Learner, Trial

log = logging.getLogger(__name__)
EVERY_S = 2.0
"""Between two looks: so soon does every replica decide by what another has learnt."""
RATED_FOR_S = 86_400.0
"""How long after its answer a decision's rating still teaches."""


class Learning:
    """The learner, once the router is loaded; without one nothing is learnt.

    A rating may reach any replica, so the data that it needs is in the shared state, and each
    rating changes the learnt state in the database.
    """

    def __init__(self, learnt: OnlineState, trials: SharedState) -> None:
        self._learnt = learnt
        self._trials = trials
        self._learner: Learner | None = None
        self._revision = 0
        """Of what the learner has taken over; 0 is no rating."""
        self._loop = Repeating(
            self.look,
            EVERY_S,
            name="learning from ratings",
            failing="nothing is learnt from other replicas for now",
        )

    def open(self, learner: Learner) -> Learner:
        """Start learning; the next poll loads what was learnt before."""
        self._learner, self._revision = learner, 0
        return learner

    @property
    def is_on(self) -> bool:
        """Whether ratings teach."""
        return self._learner is not None

    async def keep(self, decision_id: str) -> None:
        """The chosen expert has answered: a rating of its answer teaches."""
        trial = None if self._learner is None else self._learner.take(decision_id)
        if trial is not None:
            await self._keep(decision_id, trial)

    def forget(self, decision_id: str) -> None:
        """Do not learn from a decision: another than the chosen expert answered."""
        if self._learner is not None:
            self._learner.take(decision_id)

    async def rate(self, decision_id: str, rating: float, source: str) -> None:
        """Let a rating in [0, 1] teach all replicas."""
        learner = self._learner
        trial = None if learner is None else await self._trial(learner, decision_id)
        if learner is None or trial is None:
            return
        kept = trial

        def step(learnt: Learnt) -> tuple[str, bytes]:
            nonlocal kept
            if learnt.revision != self._revision + 1:
                self._take_over(learner, learnt)
            kept = learner.learn(trial, rating, source)
            return learner.state()

        try:
            self._revision = await self._learnt.change(step)
        except CollegiumError:
            self._revision = 0  # what was not written is not to be kept
            raise
        await self._keep(decision_id, kept)

    async def look(self) -> None:
        """Load what other replicas have learnt, if it is new."""
        if self._learner is None or await self._learnt.revision() == self._revision:
            return
        learnt = await self._learnt.get()
        self._take_over(self._learner, learnt)
        self._revision = learnt.revision

    def start(self) -> None:
        """Follow what other replicas learn, in the background."""
        self._loop.start()

    async def close(self) -> None:
        """Stop polling; what was learnt is already stored."""
        await self._loop.close()
        await self._trials.close()

    def _take_over(self, learner: Learner, learnt: Learnt) -> None:
        if not learnt.card:  # nobody has rated anything yet
            return
        try:
            learner.take_over(learnt.card, learnt.arrays)
        except ArtifactRejected as exc:
            log.error("what was learnt from ratings can't be used, so it is learnt anew: %s", exc)

    async def _trial(self, learner: Learner, decision_id: str) -> Trial | None:
        if (trial := learner.take(decision_id)) is not None:
            return trial
        from collegium.router.online.learner import Trial

        text = await self._trials.get(_key(decision_id))
        return None if text is None else msgspec.json.decode(text, type=Trial)

    async def _keep(self, decision_id: str, trial: Trial) -> None:
        text = msgspec.json.encode(trial).decode()
        await self._trials.put(_key(decision_id), text, RATED_FOR_S)


def _key(decision_id: str) -> str:
    return f"trial:{decision_id}"
