"""How much forecast quality may be given up so that a promised loss is kept, at given prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collegium.router.tradeoff import choices

Array = NDArray[np.float64]
GRID = np.r_[0.0, np.geomspace(0.002, 0.5, 48)]
SURE = 1.0
"""Standard errors that a loss is taken to be larger than it was on the marks, and `SPARE` of P
(correct): over eight worlds `balanced`, which promises 0.01, then lost 0.2 points on average after
200 marked prompts (more than 1.5 in 22 % of draws), and won 0.4 after 400 and 800 (11 %). Without
them it lost 1.2 and 0.9 points, and as much money was saved again by half."""
SPARE = 0.005
FEWEST = 40
MOST_ROWS = 1_500
MOST_EXPERTS = 64


@dataclass(frozen=True)
class Promise:
    """A tolerance, and what it does on marked prompts that its forecasts did not see.

    `loss` is P(correct) below the best single expert with its standard error, `saving` the share
    of that expert's money that is not spent; `kept` says whether the marks support the promise.
    """

    tolerance: float
    loss: float
    loss_se: float
    saving: float
    marks: int
    kept: bool


def promise(quality: Array, scores: Array, cost: Array, *, most_loss: float) -> Promise | None:
    """The greatest tolerance whose loss against the best single expert is at most `most_loss`.

    All arrays have shape (n, experts); `quality` was forecast without the prompt's own `scores`
    (NaN unmeasured), `cost` is what an answer is expected to cost. None where too little is known.
    """
    best = _best_single(scores)
    usable = np.flatnonzero(~np.isnan(scores[:, best]))[:MOST_ROWS]
    if len(usable) < FEWEST:
        return None
    quality, scores, cost = quality[usable], scores[usable], cost[usable]
    quality, cost = _strongest(quality, cost, best)
    found = [_measured(quality, scores, cost, best, float(t)) for t in GRID]
    able = [p for p in found if p.loss + SURE * p.loss_se <= most_loss - SPARE]
    if able:
        return max(able, key=lambda p: p.tolerance)
    none_given_up = found[0]
    return Promise(
        0.0,
        none_given_up.loss,
        none_given_up.loss_se,
        none_given_up.saving,
        none_given_up.marks,
        kept=False,
    )


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


def _measured(quality: Array, scores: Array, cost: Array, best: int, tolerance: float) -> Promise:
    rows = np.arange(len(quality))
    chosen = choices(quality, cost, tolerance)
    difference = scores[rows, best] - scores[rows, chosen]
    difference = difference[~np.isnan(difference)]
    spent, usual = float(cost[rows, chosen].sum()), float(cost[:, best].sum())
    if len(difference) < FEWEST:
        return Promise(tolerance, 1.0, 1.0, 0.0, len(difference), kept=False)
    return Promise(
        tolerance,
        float(difference.mean()),
        float(difference.std() / np.sqrt(len(difference))),
        1 - spent / usual if usual > 0 else 0.0,
        len(difference),
        kept=True,
    )


def costs(held_tokens: Array, prices: Sequence[tuple[float | None, float | None]]) -> Array:
    """Dollars of each marked prompt's answers, shape (n, e), at experts' prices a million tokens.

    `held_tokens` (n, 1 + e) has the prompt's and each answer's tokens, the latter NaN unmeasured;
    an unknown price is as high as the highest that is known.
    """
    known = [(i, o) for i, o in prices if i is not None and o is not None]
    highest = max(known, key=sum, default=(0.0, 0.0))
    each = np.array([highest if None in pair else pair for pair in prices], dtype=np.float64)
    answers = held_tokens[:, 1:]
    seen = ~np.isnan(answers)
    mean = np.where(seen, answers, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    answers = np.where(seen, answers, np.where(seen.any(axis=0), mean, _usual(mean, seen)))
    return np.asarray((held_tokens[:, :1] * each[:, 0] + answers * each[:, 1]) / 1_000_000)


def _usual(mean: Array, seen: NDArray[np.bool_]) -> float:
    measured = mean[seen.any(axis=0)]
    return float(measured.mean()) if len(measured) else 150.0
