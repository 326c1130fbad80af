"""How much forecast quality may be given up, at given prices, so that the promised loss holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from collegium.router.beliefs.beliefs import FOLDS
from collegium.router.predictors.base import rates
from collegium.router.tradeoff import choices

Array = NDArray[np.float64]
GRID = np.r_[0.0, np.geomspace(0.002, 2.0, 60)]
"""P(correct) given up for the mean price of the best single expert."""
LEAD = 0.5
"""Over the root of the number of marked prompts: the P(correct) by which the best single expert is
ahead of the others, who are often only forecast to be better. In six worlds 0.03 of it saved 1 to
4 % more of what a table of all marks saves with 100 to 400 marked prompts, at the same accuracy."""
OPTIMISM, SPREAD = 1.0, 1.25
"""By how many standard errors of what came forecasts understate the loss of who is chosen by them
(the winner's curse), and the standard deviation of that from world to world and draw to draw. In
units of the noise, since that is what makes them: in four worlds, losses were more likely by 0.04
(log-likelihood a draw) than with multiples of 1/√n, in four others by 0.08."""
DEPENDENT = 1 + FOLDS / (FOLDS - 1)
"""Times the variance of a mean over prompts that were left out in turn: fits to overlapping prompts
err alike (Nadeau and Bengio, "Inference for the generalization error", 2003)."""
SURE = 0.75
"""Standard errors that a loss is taken to be larger than expected. In eight worlds `balanced`,
which promises 0.01, won 0.3 points on average after 200, 400 and 800 marked prompts and lost more
than 1.5 in 12, 11 and 12 % of draws; it saved 50, 76 and 88 % of what the best trade-off in
hindsight did. With a whole standard error it lost more in 7, 7 and 10 %, and saved 35, 66 and 84 %
(docs/decisions/0025-honest-errors-of-promises.md)."""
CONTRADICTED = 3.0
"""Standard errors beyond which what came is no chance: the forecasts are wrong, and count less."""
FEWEST, ENOUGH = 40, 100
"""Marked prompts that tell who is best, and what is lost against that one: of 50, forecasts know
too little to correct."""
A_CHANCE = 0.5
"""Counts as one more squared error: where hardly an answer changes, what came is not sure."""
FEWEST_OF_A_LINE, LEAST_SPREAD = 4, 1e-4
FLOOR = 10.0
"""Times the promised loss: so far below the best single expert may a query's forecast be at most.
Else the gains of some applications pay for one whose answers nobody would accept: on 100 prompts
to real models, 75 points were given up in one of five. In two worlds of recorded answers a floor
of 8 points left 95 and 96 % of the saving after 3,000 marks, of 5 points 91 and 87 %, of 3 points
86 and 60 %, and it did not make the worst of 44 small applications reliably better."""
UNKNOWN_USD = 1e6
MOST_ROWS = 4_000
MOST_EXPERTS = 64


@dataclass(frozen=True)
class Promise:
    """A trade-off, and its effect on marked prompts that the forecasts did not use.

    Who is worth most answers, at `price` of P(correct) a dollar and with the best single expert
    ahead by `lead`. `loss` is the P(correct) that is expected to be lost against that one (`best`,
    its column), with its standard error; `saving` is the share of that expert's money that is not
    spent. Where the marks do not support the promise it is not `kept`: the best single expert
    answers.
    """

    lead: float
    price: float
    loss: float
    loss_se: float
    saving: float
    marks: int
    best: int
    kept: bool
    floor: float = np.inf
    """How far below `best` the chosen expert's forecast may be."""


def promise(quality: Array, scores: Array, cost: Array, *, most_loss: float) -> Promise | None:
    """The greatest trade-off that is expected to lose at most `most_loss` to the best expert.

    All arrays have shape (n, experts); `quality` was forecast without the prompt's own `scores`
    (NaN unmeasured), `cost` is what an answer is expected to cost. None if too little is known.
    """
    asked = ~np.isnan(scores).all(axis=1)
    if not asked.any():
        return None
    best = best_single(_completed(quality, scores)[asked], cost[asked])
    usable = np.flatnonzero(~np.isnan(scores[:, best]))[:MOST_ROWS]
    if len(usable) < FEWEST:
        return None
    quality, scores, cost = quality[usable], scores[usable], cost[usable]
    if cost[:, best].max() >= UNKNOWN_USD:
        return None  # nothing is known to be cheaper than the best single expert
    quality, cost = _strongest(quality, cost, best)
    floor = FLOOR * most_loss
    found = [_measured(quality, scores, cost, best, float(g), floor) for g in GRID]
    able = [p for p in found if p.loss + SURE * p.loss_se <= most_loss]
    return able[-1] if able else replace(found[0], kept=False)


def _completed(quality: Array, scores: Array) -> Array:
    """Forecasts in the place of marks that are missing, of experts that have any (n, e).

    A race asks a weak expert on where it is strong: its marks alone would flatter it.
    """
    guessed = np.isnan(scores) & ~np.isnan(scores).all(axis=0)
    return np.where(guessed, quality, scores)


def much_marked(scores: Array) -> NDArray[np.bool_]:
    """Which experts (e) have marks enough to report a comparison with them: half as many as whoever
    has most, or `FEWEST`, without which nothing is promised.
    """
    marks = (~np.isnan(scores)).sum(axis=0)
    return np.asarray(marks >= min(FEWEST, marks.max() / 2))


def best_single(scores: Array, cost: Array, able: NDArray[np.bool_] | None = None) -> int:
    """The expert that is best on average by its scores (n, e) and what such experts cost (n, e).

    It is one of those that are `able` (e). Forecasts in the place of most of an expert's marks say
    little of how good it is: it is not the one to compare with.

    Dear experts tend to be better ones: rates are pulled toward a line through them by the rank of
    the price, as far as they are unsure and the line fits (empirical Bayes). In eight worlds the
    expert that 50 marked prompts show to be best was 1.0 points below the best, with the line 0.4.
    """
    rate, kept = rates(scores), True if able is None else able
    if scores.shape[1] < FEWEST_OF_A_LINE or np.isnan(scores).all(axis=0).any():
        return int(np.where(kept, rate, -np.inf).argmax())
    rank = np.argsort(np.argsort(cost.mean(axis=0), kind="stable")).astype(np.float64)
    rank -= rank.mean()
    line = rate.mean() + max(float(rank @ rate / (rank @ rank)), 0.0) * rank
    contrast = scores - np.nanmean(scores, axis=1, keepdims=True)
    noise = np.nanvar(contrast, axis=0) / (~np.isnan(scores)).sum(axis=0)
    spread = ((rate - line) ** 2).sum() / (len(rate) - 2) - noise.mean()
    spread = max(float(spread), LEAST_SPREAD)
    level = line + (rate - line) * spread / (spread + noise)
    return int(np.where(kept, level, -np.inf).argmax())


def _strongest(quality: Array, cost: Array, best: int) -> tuple[Array, Array]:
    """Restrict a large pool to the experts that can be chosen: the others are never good enough."""
    if quality.shape[1] <= MOST_EXPERTS:
        return quality, cost
    gap = (quality.max(axis=1, keepdims=True) - quality).min(axis=0)
    weak = np.argsort(gap)[MOST_EXPERTS:]
    weak = weak[weak != best]
    hopeless = quality.copy()
    hopeless[:, weak] = -1.0
    return hopeless, cost


def _measured(
    quality: Array, scores: Array, cost: Array, best: int, given_up: float, floor: float
) -> Promise:
    rows = np.arange(len(quality))
    usual_cost = float(cost[:, best].mean())
    price = given_up / usual_cost if usual_cost > 0 else 0.0
    lead = LEAD / float(np.sqrt(len(quality)))
    worth = worths(quality, cost, best, lead=lead, price=price, floor=floor)
    chosen = choices(worth, cost, 0.0)
    forecast = quality[:, best] - quality[rows, chosen]
    beyond = scores[rows, best] - scores[rows, chosen] - forecast
    beyond = beyond[~np.isnan(beyond)]
    loss, error = _expected(float(forecast.mean()), beyond)
    spent, usual = float(cost[rows, chosen].sum()), float(cost[:, best].sum())
    saving = 1 - spent / usual if usual > 0 else 0.0
    return Promise(lead, price, loss, error, saving, len(beyond), best, kept=True, floor=floor)


def worths(
    quality: Array, cost: Array, best: int, *, lead: float, price: float, floor: float = np.inf
) -> Array:
    """Return the worth of each expert at this trade-off, for `choose`, shape (n, e).

    Nothing, where it is forecast to be more than `floor` below the best single expert.
    """
    ahead = lead * (np.arange(quality.shape[1]) == best)
    too_bad = quality < quality[:, best : best + 1] - floor
    return np.where(too_bad, -np.inf, quality + ahead - price * cost)


def _expected(forecast: float, beyond: Array) -> tuple[float, float]:
    """The loss to expect, and its standard error, by the forecast one and what came beyond it (n,).

    What is forecast differs less from draw to draw than what came, and what came has no bias. So
    the forecast is corrected by what came beyond it, as far as that is surer than what usually
    does (the normal posterior of a mean), or cannot be chance.
    """
    if not len(beyond):
        return 1.0, 1.0
    came, variance = float(beyond.mean()), float(beyond.var()) / len(beyond)
    chance = A_CHANCE / len(beyond) ** 2
    # Where answers hardly differ, nobody was chosen by luck, and no fit depends on another.
    usual, noise = OPTIMISM * variance**0.5, DEPENDENT * variance + chance
    if len(beyond) < ENOUGH:  # nothing but a gain that no chance explains
        return forecast + came + CONTRADICTED * noise**0.5, noise**0.5
    spread = max(SPREAD**2 * (variance + chance), (came - usual) ** 2 - CONTRADICTED**2 * noise)
    trust = spread / (spread + noise)
    return forecast + trust * came + (1 - trust) * usual, float(np.sqrt(trust * noise))


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
