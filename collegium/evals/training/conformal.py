"""Conformal guarantees: a lower bound on the quality of cheap choices.

The guarantee: on at least 90 % of queries like the calibration's, the chosen expert's expected
quality is within 0.05 of the best expert's. The cheapest expert within a tolerance of the best
*forecast* is chosen; how large the tolerance may be is decided on queries that the forecasts never
saw, by Learn-then-Test (Angelopoulos et al., arXiv 2110.01052): tolerances are tested from none
upwards, and the last one is taken before the first whose binomial test can't rule out that more
than 10 % of queries break the guarantee. With the stated confidence over the draw of the
calibration queries, the guarantee then holds for exchangeable ones, whatever the forecasts are.

Expected quality is not observable: one answer is right or wrong, whatever its probability was. So
it is estimated (`expected_by_neighbours`), from other queries than the forecasts were fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from collegium.router.tradeoff import choices

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
NEIGHBOURS = 100
GRID = np.r_[np.linspace(0, 0.2, 81), np.linspace(0.21, 1, 80)]


@dataclass(frozen=True)
class Floor:
    """The most that may be given up; `attained` tells what can be said where it is not enough.

    `certified` is whether the guarantee holds at all; if not, the tolerance is 0 (the best
    forecast), and `attained` is the share of queries for which it is known to be good enough.
    """

    tolerance: float
    guarantee: float
    within: float
    confidence: float
    certified: bool
    attained: float
    calibration_queries: int


def fit_floor(
    forecast: Array,
    cost: Array,
    expected: Array,
    *,
    guarantee: float = 0.9,
    within: float = 0.05,
    confidence: float = 0.95,
) -> Floor:
    """Find the greatest tolerance that keeps the guarantee.

    `forecast`, `cost` and `expected` have shape (n, experts), one row a calibration query.
    """
    kept = 0.0, _share_at_least(breaks(expected, choices(forecast, cost, 0.0), within), confidence)
    certified = False
    for tolerance in GRID:
        broken = breaks(expected, choices(forecast, cost, float(tolerance)), within)
        if p_value(int(broken.sum()), len(broken), 1 - guarantee) > 1 - confidence:
            break
        kept, certified = (float(tolerance), _share_at_least(broken, confidence)), True
    return Floor(kept[0], guarantee, within, confidence, certified, kept[1], len(forecast))


def expected_by_neighbours(X: Array, scores: Array, *, neighbours: int = NEIGHBOURS) -> Array:
    """Estimate every expert's expected quality on every query, shape (n, experts).

    It is the mean score over the queries with the nearest embeddings `X` (n, d), without the
    query's own answers. The forecasts must have seen none of these queries. An estimate errs: by
    chance about 0.05 with 100 neighbours, which mostly makes the best expert look better than it
    is and so the guarantee stricter; and what sets a query apart from its neighbours is not seen.
    """
    unit = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(float).tiny)
    known, filled = ~np.isnan(scores), np.nan_to_num(scores)
    everyone = np.nanmean(scores, axis=0)
    count = min(neighbours, len(X) - 1)
    found = np.empty_like(filled)
    for block in np.array_split(np.arange(len(X)), max(1, len(X) // 512)):
        likeness = unit[block] @ unit.T
        likeness[np.arange(len(block)), block] = -np.inf
        near = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        seen = known[near].sum(axis=1)
        found[block] = np.where(seen > 0, filled[near].sum(axis=1) / np.maximum(seen, 1), everyone)
    return found


def breaks(expected: Array, chosen: NDArray[np.intp], within: float) -> Flags:
    """Where the chosen expert is more than `within` below the best one, shape (n,)."""
    got = expected[np.arange(len(expected)), chosen]
    return np.asarray(expected.max(axis=1) - got > within)


def p_value(broken: int, count: int, most: float) -> float:
    """The probability of so few broken queries if the true share were just above `most`."""
    return float(binom.cdf(broken, count, most))


def _share_at_least(broken: Flags, confidence: float) -> float:
    """Clopper and Pearson's lower bound on the share of queries that are kept."""
    bad, count = int(broken.sum()), len(broken)
    return 0.0 if bad == count else float(1 - beta.ppf(confidence, bad + 1, count - bad))
