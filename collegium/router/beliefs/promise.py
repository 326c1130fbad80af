"""How much forecast quality may be given up so that a promised loss is kept, at given prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from collegium.router.tradeoff import choices

Array = NDArray[np.float64]
GRID = np.r_[0.0, np.geomspace(0.002, 2.0, 60)]
"""P(correct) given up for the mean price of the best single expert."""
TOLERANCE = 0.25
"""Of that, what is given up between two experts whatever they cost: the cheapest of those that are
worth about the same. A price alone saved 35, 47, 64 and 77 % of what a table of all marks saves
(100 to 800 marked prompts, means over six worlds), a tolerance alone 34, 43, 58 and 70 %, both
together 36, 46, 63 and 76 %; in eight other worlds the tolerance led at few marks: 65 to 59 % at
200, 82 to 78 % at 400."""
SURE = 1.0
"""Standard errors that a loss is taken to be larger than it was on the marks, and `SPARE` of P
(correct): over eight worlds `balanced`, which promises 0.01, then lost 0.2 points on average after
200 marked prompts (more than 1.5 in 22 % of draws), and won 0.4 after 400 and 800 (11 %). Without
them it lost 1.2 and 0.9 points, and as much money was saved again by half."""
SPARE = 0.005
FEWEST = 40
UNKNOWN_USD = 1e6
MOST_ROWS = 1_500
MOST_EXPERTS = 64


@dataclass(frozen=True)
class Promise:
    """What is given up for money, and what that does on marked prompts the forecasts did not see.

    Who is worth most, at `price` of P(correct) a dollar, answers, or who is cheapest of those
    within `tolerance` of that. `loss` is P(correct) below `best`, the best single expert (its
    column), with its standard error; `saving` is the share of that expert's money that is not
    spent. Where the marks do not support the promise it is not `kept`: the best single expert
    answers.
    """

    tolerance: float
    price: float
    loss: float
    loss_se: float
    saving: float
    marks: int
    best: int
    kept: bool


def promise(quality: Array, scores: Array, cost: Array, *, most_loss: float) -> Promise | None:
    """The greatest trade-off whose loss against the best single expert is at most `most_loss`.

    All arrays have shape (n, experts); `quality` was forecast without the prompt's own `scores`
    (NaN unmeasured), `cost` is what an answer is expected to cost. None where too little is known.
    """
    best = _best_single(scores)
    usable = np.flatnonzero(~np.isnan(scores[:, best]))[:MOST_ROWS]
    if len(usable) < FEWEST:
        return None
    quality, scores, cost = quality[usable], scores[usable], cost[usable]
    if cost[:, best].max() >= UNKNOWN_USD:
        return None  # nothing is known to be cheaper than the best single expert
    quality, cost = _strongest(quality, cost, best)
    found = [_measured(quality, scores, cost, best, float(t)) for t in GRID]
    able = [p for p in found if p.loss + SURE * p.loss_se <= most_loss - SPARE]
    if able:
        return max(able, key=lambda p: p.tolerance)
    return replace(found[0], kept=False)


def _best_single(scores: Array) -> int:
    seen = ~np.isnan(scores)
    right = np.where(seen, scores, 0.0).sum(axis=0)
    return int(((right + 0.5) / (seen.sum(axis=0) + 1.0)).argmax())


def _strongest(quality: Array, cost: Array, best: int) -> tuple[Array, Array]:
    """In a large pool those that are ever chosen: the others are never good enough."""
    if quality.shape[1] <= MOST_EXPERTS:
        return quality, cost
    gap = (quality.max(axis=1, keepdims=True) - quality).min(axis=0)
    weak = np.argsort(gap)[MOST_EXPERTS:]
    weak = weak[weak != best]
    hopeless = quality.copy()
    hopeless[:, weak] = -1.0
    return hopeless, cost


def _measured(quality: Array, scores: Array, cost: Array, best: int, given_up: float) -> Promise:
    rows = np.arange(len(quality))
    usual_cost = float(cost[:, best].mean())
    price = given_up / usual_cost if usual_cost > 0 else 0.0
    tolerance = TOLERANCE * given_up
    chosen = choices(quality - price * cost, cost, tolerance)
    difference = scores[rows, best] - scores[rows, chosen]
    difference = difference[~np.isnan(difference)]
    spent, usual = float(cost[rows, chosen].sum()), float(cost[:, best].sum())
    if len(difference) < FEWEST:
        return Promise(tolerance, price, 1.0, 1.0, 0.0, len(difference), best, kept=False)
    return Promise(
        tolerance,
        price,
        float(difference.mean()),
        float(difference.std() / np.sqrt(len(difference))),
        1 - spent / usual if usual > 0 else 0.0,
        len(difference),
        best,
        kept=True,
    )


def costs(held_tokens: Array, prices: Sequence[tuple[float | None, float | None]]) -> Array:
    """Dollars of each marked prompt's answers, shape (n, e), at experts' prices a million tokens.

    `held_tokens` (n, 1 + e) has the prompt's and each answer's tokens, the latter NaN unmeasured;
    where a price is unknown they are `UNKNOWN_USD`: such an expert is never the cheaper one.
    """
    each = np.array([(0.0, 0.0) if None in pair else pair for pair in prices], dtype=np.float64)
    unknown = np.array([None in pair for pair in prices])
    answers = held_tokens[:, 1:]
    seen = ~np.isnan(answers)
    mean = np.where(seen, answers, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    answers = np.where(seen, answers, np.where(seen.any(axis=0), mean, _usual(mean, seen)))
    found = (held_tokens[:, :1] * each[:, 0] + answers * each[:, 1]) / 1_000_000
    return np.where(unknown, UNKNOWN_USD, found)


def _usual(mean: Array, seen: NDArray[np.bool_]) -> float:
    measured = mean[seen.any(axis=0)]
    return float(measured.mean()) if len(measured) else 150.0
