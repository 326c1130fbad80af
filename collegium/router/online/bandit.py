"""The contextual bandit: forecasts corrected by recent ratings, and choices of known
probability.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from collegium.router.online.conservative import Purse
from collegium.router.online.features import Projection
from collegium.router.online.posterior import Residuals
from collegium.router.online.thompson import best_probabilities, with_floor
from collegium.router.online.trust import SourceCaps, beyond

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
HOPELESS = -1e6  # a reward that is never the best, and finite


@dataclass(frozen=True)
class BanditSettings:
    """Learning rate, exploration and risk."""

    discount: float = 0.999
    """The weight that evidence keeps at each rating: 0.999 remembers about a thousand."""
    floor: float = 0.01
    """Share of decisions that are drawn uniformly: no propensity is below floor / experts."""
    noise: float = 0.45
    """Standard deviation of a rating round its expectation."""
    offset_sd: float = 0.1
    """The expected drift of an expert's mean from its forecast."""
    slope_sd: float = 0.03
    """The same for each principal component of the query."""
    width: float = 0.5
    """Scale of the beliefs that Thompson sampling draws from; 0 is greedy."""
    contamination: float = 0.05
    """The share of sources that may be malicious; the influence that they could have is ignored
    (see `trust`).
    """
    source_cap: float = 1.0
    """Ratings of one expert by one source that count within the memory."""
    alpha: float | None = None
    """Reward per query that exploration may cost against the baseline; None for no limit."""
    purse: float = 10.0
    """The maximum exploration budget (see `Purse`)."""
    confidence: float = 2.0
    """Standard deviations of the purse's bounds."""


@dataclass(frozen=True)
class Choice:
    """One decision with everything that evaluation and learning need.

    `propensity` is the probability of `expert` under `probabilities` (e,). The forecasts are those
    that the decision was made with.
    """

    expert: int
    propensity: float
    probabilities: Array
    baseline: int
    features: Array
    quality: Array
    burden: Array
    paid_for: float | None
    """The reward that was charged to the exploration budget; None if none was."""


class Bandit:
    """Discounted Thompson sampling over quality less cost, around a fitted router's forecasts.

    Quality and burden (cost and latency in units of quality) are learnt apart: quality from
    ratings, which are rare and may be false; burden from every answer. The expected reward of an
    expert is forecast + difference learnt. All state is plain arrays.
    """

    def __init__(
        self, projection: Projection, experts: int, settings: BanditSettings | None = None
    ) -> None:
        self.settings = settings = settings or BanditSettings()
        self.projection = projection
        features = projection.components.shape[1] + 1
        self.quality = Residuals(
            experts,
            features,
            discount=settings.discount,
            noise=settings.noise,
            offset_sd=settings.offset_sd,
            slope_sd=settings.slope_sd,
        )
        self.burden = Residuals(
            experts,
            features,
            discount=settings.discount,
            noise=settings.noise,
            offset_sd=1.0,
            slope_sd=0.1,
        )
        self.caps = SourceCaps(experts, most=settings.source_cap, discount=settings.discount)
        self.doubt = self.caps.doubt(settings.contamination)
        self.purse = None if settings.alpha is None else Purse(settings.alpha, settings.purse)

    def decide(
        self,
        x: Array,
        quality: Array,
        burden: Array,
        random: np.random.Generator,
        *,
        feasible: Bools | None = None,
    ) -> Choice:
        """Choose for one embedding (d,), given forecasts of quality and burden, each (e,)."""
        z = self.projection(x)
        feasible = np.ones(len(quality), dtype=bool) if feasible is None else feasible
        reward, deviation = self._beliefs(z, quality, burden)
        baseline = int(np.where(feasible, quality - burden, -np.inf).argmax())
        width = self.settings.width * deviation
        hopes = best_probabilities(np.where(feasible, reward, HOPELESS), width)
        probabilities = with_floor(hopes, feasible, self.settings.floor)
        prices, promised = self._prices(baseline, reward, deviation)
        if self.purse is not None:
            self.purse.earn()
            affordable = self.purse.affordable(prices)
            affordable[baseline] = True
            probabilities = _onto(baseline, probabilities, affordable)
        expert = int(np.searchsorted(np.cumsum(probabilities), random.random(), side="right"))
        expert = min(expert, len(probabilities) - 1)
        charged = self.purse is not None and expert != baseline
        if self.purse is not None and charged:
            self.purse.pay(float(prices[expert]))
        return Choice(
            expert,
            float(probabilities[expert]),
            probabilities,
            baseline,
            z,
            quality,
            burden,
            float(promised[expert]) if charged else None,
        )

    def make_room(self, experts: int) -> None:
        """Append experts that joined, up to this many; they start without evidence."""
        new = experts - len(self.quality.moment)
        if new <= 0:
            return
        for part in (self.quality, self.burden, self.caps):
            part.make_room(new)
        self.doubt = self.caps.doubt(self.settings.contamination)

    def expected(self, x: Array, quality: Array, burden: Array) -> Array:
        """Expected reward of every expert, shape (e,): the greedy policy takes its maximum."""
        return self._beliefs(self.projection(x), quality, burden)[0]

    def learn(
        self,
        choice: Choice,
        *,
        rating: float | None = None,
        burden: float | None = None,
        source: str = "",
    ) -> Choice:
        """Take a rating in [0, 1], a burden, or both, into account, in any order and time.

        Ratings of the empty source are the operator's, by key, and not capped. Returns the choice
        with the purse settled, to be kept if more may follow.
        """
        expert, z = choice.expert, choice.features
        if burden is not None:
            self.burden.update(expert, z, burden - float(choice.burden[expert]))
        if rating is None:
            return choice
        rating = min(max(rating, 0.0), 1.0)
        weight = self.caps.admit(source, expert)
        self.doubt = self.caps.doubt(self.settings.contamination)
        self.quality.update(expert, z, rating - float(choice.quality[expert]), weight)
        if self.purse is None or choice.paid_for is None:
            return choice
        spent = float(choice.burden[expert]) if burden is None else burden
        self.purse.settle(choice.paid_for, rating - spent)
        return replace(choice, paid_for=None)

    def _beliefs(self, z: Array, quality: Array, burden: Array) -> tuple[Array, Array]:
        learnt = beyond(self.quality.mean(z), self.doubt)
        reward = quality + learnt - burden - self.burden.mean(z)
        return reward, np.sqrt(self.quality.variance(z))

    def _prices(self, baseline: int, reward: Array, deviation: Array) -> tuple[Array, Array]:
        """The possible cost of each choice against the baseline, and the reward assumed for it."""
        margin = self.settings.confidence * deviation + self.doubt
        promised = reward - margin
        return reward[baseline] + margin[baseline] - promised, promised


def _onto(baseline: int, probabilities: Array, affordable: Bools) -> Array:
    """Give the baseline what can't be afforded."""
    kept = np.where(affordable, probabilities, 0.0)
    kept[baseline] += 1.0 - kept.sum()
    return np.asarray(kept)
