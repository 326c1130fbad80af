"""Learn while serving: the bandit, between the router's choice and the answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from collegium.router.artifact import FittedRouter
from collegium.router.decision import Decision, Forecast
from collegium.router.policy import quality

# Most services don't learn: `open` and `save` import what learns, for those that do.
if TYPE_CHECKING:
    from collegium.router.online.bandit import Bandit, Choice

Array = NDArray[np.float64]
Mode = Literal["shadow", "on"]
REMEMBERED = 10_000
"""Decisions that a rating may still reach; older ones are in the registry, for training."""
ALPHA = 0.02
"""What exploring may cost a query. On 1,500 queries without change this cost 0.1 points, free
exploration 1.4 (docs/guides)."""


class Learner:
    """Corrects forecasts by ratings, and explores within the purse's means.

    In `shadow` mode the router's own choice stands, and only its ratings are learnt from.
    """

    def __init__(
        self,
        bandit: Bandit,
        experts: Sequence[str] = (),
        *,
        mode: Mode,
        random: np.random.Generator | None = None,
    ) -> None:
        self.mode = mode
        self.ratings = 0
        self._bandit = bandit
        self._column = {name: i for i, name in enumerate(experts)}
        self._random = random or np.random.default_rng()
        self._choices: OrderedDict[str, Choice] = OrderedDict()

    @classmethod
    def open(cls, folder: Path, fitted: FittedRouter, *, mode: Mode) -> Learner:
        """Go on from what `folder` holds, or begin; ArtifactRejected where it is damaged."""
        from collegium.router.online import store
        from collegium.router.online.bandit import Bandit, BanditSettings
        from collegium.router.online.features import projection_of

        if (folder / store.CARD).is_file():
            bandit, experts = store.load(folder)
            if len(bandit.projection.mean) == len(fitted.beliefs.features_.middle_):
                return cls(bandit, experts, mode=mode)
        settings = BanditSettings(alpha=ALPHA if mode == "on" else None)
        return cls(Bandit(projection_of(fitted), 0, settings), mode=mode)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        from collegium.router.online import store

        store.save(self._bandit, list(self._column), folder)

    def adjusted(self, decision: Decision, embedding: Array) -> Decision:
        """The decision after what ratings taught, with the odds that it had (`propensity`)."""
        able = [f for f in decision.forecasts if f.feasible and f.quality is not None]
        columns = self._columns([f.expert for f in able])
        known = np.zeros(len(self._column))
        feasible = np.zeros(len(self._column), dtype=bool)
        known[columns], feasible[columns] = [quality(f) for f in able], True
        burden = np.zeros(len(known))
        choice = self._bandit.decide(embedding, known, burden, self._random, feasible=feasible)
        if self.mode == "shadow":
            own = self._column[decision.expert]
            choice = replace(choice, expert=own, propensity=1.0, paid_for=None)
        self._remember(decision.id, choice)
        chosen = able[columns.index(choice.expert)]
        expected = float(self._bandit.expected(embedding, known, burden)[choice.expert])
        return _changed(decision, chosen, expected, choice.propensity)

    def rate(self, decision_id: str, rating: float, source: str) -> bool:
        """Learn from a rating in [0, 1]; False where the decision is not remembered.

        The empty source is the operator's own; all others are capped (`SourceCaps`).
        """
        choice = self._choices.get(decision_id)
        if choice is None:
            return False
        self._choices[decision_id] = self._bandit.learn(choice, rating=rating, source=source)
        self.ratings += 1
        return True

    def forget(self, decision_id: str) -> None:
        """Another expert answered in the chosen one's place: its rating is not the choice's."""
        self._choices.pop(decision_id, None)

    def _columns(self, names: Sequence[str]) -> list[int]:
        for name in names:
            self._column.setdefault(name, len(self._column))
        self._bandit.make_room(len(self._column))
        return [self._column[name] for name in names]

    def _remember(self, decision_id: str, choice: Choice) -> None:
        self._choices[decision_id] = choice
        if len(self._choices) > REMEMBERED:
            self._choices.popitem(last=False)


def _changed(decision: Decision, chosen: Forecast, expected: float, propensity: float) -> Decision:
    decision = replace(decision, propensity=propensity)
    if chosen.expert == decision.expert:
        return decision
    confidence = min(max(expected, 0.0), 1.0)
    reason = (
        f"Ratings since the router was fitted put {chosen.expert} at {confidence:.0%}, or it is "
        f"tried to learn how good it is; the forecast alone would have sent it to "
        f"{decision.expert}."
    )
    return replace(
        decision, expert=chosen.expert, policy="online", confidence=confidence, reason=reason
    )
