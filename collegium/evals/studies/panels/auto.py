"""What `auto` would answer on recorded queries, and the price of cost that it should use.

Profiles are learnt on some queries and act on others. The price is chosen by cross-validation
inside the training queries: the one whose choices lie highest above the hull of the fixed ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import Bootstrap
from collegium.evals.studies.panels.hull import hull_at
from collegium.evals.studies.panels.replay import Played, Way
from collegium.router.panels.profiles import BOUNDS, Profile, range_of, worth

SINGLE = Way("single")
PRICES = (0.0, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0)
"""Of one more multiple of the single answer's cost, in P(right)."""
FEWEST = 30
"""A range with fewer training rows has no profile."""
FOLDS = 5


def profiled(
    played: Mapping[Way, Played], best: Floats, *, seed: int
) -> tuple[tuple[Profile, ...], ...]:
    """What each panel gained over one expert and what it cost, by range of the best forecast."""
    ranges = np.array([range_of(p) for p in best])
    return tuple(
        tuple(
            _profile(way, played, np.flatnonzero(ranges == index), seed)
            for way in played
            if way != SINGLE and (ranges == index).sum() >= FEWEST
        )
        for index in range(len(BOUNDS) + 1)
    )


def _profile(way: Way, played: Mapping[Way, Played], rows: Ints, seed: int) -> Profile:
    one, other = played[way], played[SINGLE]
    pairs = np.stack([one.scores[rows], other.scores[rows]], axis=1)
    gain = Bootstrap(pairs, seed=seed).difference(0, 1)
    multiple = one.costs[rows].mean() / other.costs[rows].mean()
    return Profile(
        way.mode, way.k, gain.estimate, gain.low, float(multiple), len(rows), way.threshold, way.cap
    )


def auto_played(
    profiles: Sequence[Sequence[Profile]], judged: Mapping[Way, Played], best: Floats, price: float
) -> Played:
    """In each range of the best forecast the way that is worth most at this price, as served."""
    scores, costs = np.empty(len(best)), np.empty(len(best))
    ranges = np.array([range_of(p) for p in best])
    for index, measured in enumerate(profiles):
        rows = ranges == index
        chosen = _chosen(measured, price)
        scores[rows], costs[rows] = judged[chosen].scores[rows], judged[chosen].costs[rows]
    return Played(scores, costs)


def _chosen(measured: Sequence[Profile], price: float) -> Way:
    best = max(measured, key=lambda profile: worth(profile, price), default=None)
    if best is None or worth(best, price) <= 0:
        return SINGLE
    return Way(best.mode, best.k, best.cap, best.threshold)


def nested_price(learnt: Mapping[Way, Played], best: Floats, *, seed: int) -> float:
    """The price whose choices lie highest above the fixed ways' hull, on rows held out in turn.

    Uses training rows only; `best` (rows,) are their best forecasts. Of equals the lowest.
    """
    fold = np.random.default_rng(seed).permutation(len(best)) % FOLDS
    found = {price: Played(np.empty(len(best)), np.empty(len(best))) for price in PRICES}
    for index in range(FOLDS):
        held, rest = np.flatnonzero(fold == index), np.flatnonzero(fold != index)
        profiles = profiled(_rows(learnt, rest), best[rest], seed=seed)
        for price, whole in found.items():
            part = auto_played(profiles, _rows(learnt, held), best[held], price)
            whole.scores[held], whole.costs[held] = part.scores, part.costs
    accuracy = np.array([played.scores.mean() for played in learnt.values()])
    cost = np.array([played.costs.mean() for played in learnt.values()])

    def height(price: float) -> float:
        scores, costs = found[price].scores.mean(), found[price].costs.mean()
        return float(scores - hull_at(accuracy, cost, np.asarray(costs)))

    return max(PRICES, key=height)


def _rows(played: Mapping[Way, Played], rows: Ints) -> dict[Way, Played]:
    return {way: Played(each.scores[rows], each.costs[rows]) for way, each in played.items()}
