"""Online learning between the router's choice and the answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from collegium.router.artifact import FittedRouter
from collegium.router.decision import Decision, Forecast
from collegium.router.policy import quality

# Most services don't learn: methods import what learns, for those that do.
if TYPE_CHECKING:
    from collegium.router.online.bandit import Bandit, Choice

Array = NDArray[np.float64]
Mode = Literal["shadow", "on"]
REMEMBERED = 10_000
"""Decisions under way: when they are answered, their trials are handed over."""
ALPHA = 0.02
"""The cost of exploration per query. On 1,500 queries without change it was 0.1 points, with free
exploration 1.4 (docs/guides).
"""


@dataclass(frozen=True)
class Trial:
    """What a rating of a decision needs, wherever it arrives.

    `features` (k,) is the query's projection, `quality` and `burden` the forecasts of the expert.
    """

    expert: str
    features: Sequence[float]
    quality: float
    burden: float
    paid_for: float | None


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
        self._bandit = bandit
        self._column = {name: i for i, name in enumerate(experts)}
        self._random = random or np.random.default_rng()
        self._trials: OrderedDict[str, Trial] = OrderedDict()

    @classmethod
    def new(cls, fitted: FittedRouter, *, mode: Mode) -> Learner:
        """Begin without ratings."""
        from collegium.router.online.bandit import Bandit, BanditSettings
        from collegium.router.online.features import projection_of

        settings = BanditSettings(alpha=ALPHA if mode == "on" else None)
        return cls(Bandit(projection_of(fitted), 0, settings), mode=mode)

    def state(self) -> tuple[str, bytes]:
        """What was learnt: a card and its arrays."""
        from collegium.router.online import store

        return store.encoded(self._bandit, list(self._column))

    def take_over(self, card: str, arrays: bytes) -> None:
        """Go on from what another replica, or an earlier process, has learnt.

        The budget for exploring stays this replica's own. ArtifactRejected if the state is
        damaged; that of a router with another encoder is passed over.
        """
        from collegium.router.online import store

        bandit, experts = store.decoded(card, arrays)
        if len(bandit.projection.mean) != len(self._bandit.projection.mean):
            return
        bandit.purse = self._bandit.purse
        self._bandit = bandit
        self._column = {name: i for i, name in enumerate(experts)}

    def adjusted(self, decision: Decision, embedding: Array) -> Decision:
        """The decision after what ratings taught, with the odds that it had (`propensity`)."""
        feasible = (f for f in decision.forecasts if f.feasible and f.quality is not None)
        able = [f for f in feasible if not f.note]  # others are asked only if need be
        columns = self._columns([f.expert for f in able])
        known = np.zeros(len(self._column))
        free = np.zeros(len(self._column), dtype=bool)
        known[columns], free[columns] = [quality(f) for f in able], True
        burden = np.zeros(len(known))
        choice = self._bandit.decide(embedding, known, burden, self._random, feasible=free)
        if self.mode == "shadow":
            own = self._column[decision.expert]
            choice = replace(choice, expert=own, propensity=1.0, paid_for=None)
        chosen = able[columns.index(choice.expert)]
        self._remember(decision.id, chosen.expert, choice)
        expected = float(self._bandit.expected(embedding, known, burden)[choice.expert])
        return _changed(decision, chosen, expected, choice.propensity)

    def take(self, decision_id: str) -> Trial | None:
        """Hand over what a rating of the decision needs; None if the choice was not ours."""
        return self._trials.pop(decision_id, None)

    def learn(self, trial: Trial, rating: float, source: str) -> Trial:
        """Learn from a rating in [0, 1]; return the trial, to be kept for further ratings.

        The empty source is the setting `api_key`; all others are capped (`SourceCaps`).
        """
        from collegium.router.online.bandit import Choice

        (column,) = self._columns([trial.expert])
        known, burden = np.zeros(len(self._column)), np.zeros(len(self._column))
        known[column], burden[column] = trial.quality, trial.burden
        features = np.array(trial.features)
        choice = Choice(column, 1.0, known, column, features, known, burden, trial.paid_for)
        settled = self._bandit.learn(choice, rating=rating, source=source)
        return replace(trial, paid_for=settled.paid_for)

    def _columns(self, names: Sequence[str]) -> list[int]:
        for name in names:
            self._column.setdefault(name, len(self._column))
        self._bandit.make_room(len(self._column))
        return [self._column[name] for name in names]

    def _remember(self, decision_id: str, expert: str, choice: Choice) -> None:
        self._trials[decision_id] = Trial(
            expert,
            choice.features.tolist(),
            float(choice.quality[choice.expert]),
            float(choice.burden[choice.expert]),
            choice.paid_for,
        )
        if len(self._trials) > REMEMBERED:
            self._trials.popitem(last=False)


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
