"""The trade-off that keeps a promised loss, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.beliefs.beliefs import FOLDS
from collegium.router.beliefs.promise import (
    A_CHANCE,
    CONTRADICTED,
    DEPENDENT,
    FEWEST,
    GRID,
    LEAD,
    MOST_EXPERTS,
    OPTIMISM,
    SPREAD,
    SURE,
    UNKNOWN_USD,
    Promise,
    best_single,
    costs,
    promise,
    worths,
)
from collegium.router.predictors.base import folds
from collegium.router.tradeoff import choices

Array = NDArray[np.float64]


def marked(n: int = 600, seed: int = 0) -> tuple[Array, Array, Array]:
    """Forecasts, scores and costs of a dear expert, one nearly as good, and a cheap one."""
    rng = np.random.default_rng(seed)
    easy = rng.random(n)
    truth = np.clip(np.column_stack([0.7 + 0.3 * easy, 0.66 + 0.3 * easy, 0.9 * easy]), 0, 1)
    scores = (rng.random(truth.shape) < truth).astype(np.float64)
    quality = np.clip(truth + 0.03 * rng.normal(size=truth.shape), 0, 1)
    cost = np.tile([1.0, 0.3, 0.05], (n, 1)) * rng.uniform(0.5, 1.5, size=(n, 1))
    return quality, scores, cost


def by_hand(quality: Array, scores: Array, cost: Array, given_up: float) -> dict[str, float]:
    """What is lost at one trade-off, forecast and measured, and what is saved, query by query."""
    best = int(((np.nansum(scores, 0) + 0.5) / ((~np.isnan(scores)).sum(0) + 1)).argmax())
    price = given_up / cost[~np.isnan(scores[:, best]), best].mean()
    lead = LEAD / np.sqrt((~np.isnan(scores[:, best])).sum())
    forecast, lost, beyond, spent, usual = [], [], [], 0.0, 0.0
    for q, s, c in zip(quality, scores, cost, strict=True):
        if np.isnan(s[best]):
            continue
        worth = [q[e] + lead * (e == best) - price * c[e] for e in range(len(q))]
        chosen = int(np.argmax(worth))
        spent, usual = spent + c[chosen], usual + c[best]
        forecast.append(q[best] - q[chosen])
        if not np.isnan(s[chosen]):
            lost.append(s[best] - s[chosen])
            beyond.append(lost[-1] - forecast[-1])
    return {
        "forecast": float(np.mean(forecast)),
        "lost": float(np.mean(lost)),
        "beyond": float(np.mean(beyond)),
        "deviation": float(np.std(beyond)),
        "marks": len(beyond),
        "price": price,
        "saving": 1 - spent / usual,
    }


def expected_by_hand(found: dict[str, float]) -> tuple[float, float]:
    """Of two normal distributions: what is usual beyond a forecast, and what was measured."""
    n = found["marks"]
    squared, chance = found["deviation"] ** 2 / n, A_CHANCE / n**2
    expected, measured = OPTIMISM * np.sqrt(squared), DEPENDENT * squared + chance
    away = found["beyond"] - expected
    usual = max(SPREAD**2 * (squared + chance), away**2 - CONTRADICTED**2 * measured)
    both = 1 / (1 / usual + 1 / measured)
    beyond = both * (expected / usual + found["beyond"] / measured)
    return found["forecast"] + beyond, np.sqrt(both)


@pytest.mark.parametrize("most_loss", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_it_is_the_greatest_trade_off_that_keeps_the_loss(most_loss: float, missing: float) -> None:
    """Of those on the grid, with some standard errors to spare."""
    quality, scores, cost = marked()
    scores[np.random.default_rng(1).random(scores.shape) < missing] = np.nan
    found = promise(quality, scores, cost, most_loss=most_loss)
    assert found is not None
    each = [by_hand(quality, scores, cost, g) for g in GRID]
    losses = [expected_by_hand(one) for one in each]
    able = [i for i, (loss, error) in enumerate(losses) if loss + SURE * error <= most_loss]
    last = max(able, default=0)
    assert found.kept == bool(able)
    assert found.price == pytest.approx(each[last]["price"])
    assert found.saving == pytest.approx(each[last]["saving"])
    assert (found.loss, found.loss_se) == pytest.approx(losses[last])


@pytest.mark.parametrize("count", [200, 4_000])
def test_forecasts_that_err_are_corrected_by_what_came(count: int) -> None:
    """As far as chance does not explain it."""
    quality, scores, cost = marked(count)
    quality[:, 2] += 0.3  # the cheap one is praised
    found = promise(quality, scores, cost, most_loss=1.0)
    assert found is not None
    at = by_hand(quality, scores, cost, GRID[-1])
    error = abs(found.loss - at["lost"])
    assert error < abs(at["beyond"])
    assert found.marks == count


def test_who_promises_more_saves_more() -> None:
    """A greater loss allows a greater price."""
    small, large = (promise(*marked(), most_loss=loss) for loss in (0.03, 0.1))
    assert small is not None
    assert large is not None
    assert small.price < large.price
    assert 0 < small.saving < large.saving


def test_the_promise_is_kept_on_marks_that_nobody_saw() -> None:
    """On the average of twenty worlds."""
    losses = []
    for seed in range(20):
        found = promise(*marked(400, seed), most_loss=0.05)
        assert found is not None
        quality, scores, cost = marked(2000, 100 + seed)
        given_up = found.price * cost[:, 0].mean()
        losses.append(by_hand(quality, scores, cost, given_up)["lost"])
    assert np.mean(losses) < 0.05


def said_and_true(seed: int, marks: int = 400) -> tuple[float, float, float]:
    """Of a world of 40 applications: the loss that is expected, the true one, and the error said.

    The forecasts are a table of rates; for each fold it is fitted to the others.
    """
    rng = np.random.default_rng(seed)
    rates = np.array([0.72, 0.62, 0.58, 0.5]) + rng.normal(0, 0.15, (40, 1))
    rates = np.clip(rates + rng.normal(0, 0.1, (40, 4)), 0.02, 0.98)
    asked = rng.integers(40, size=marks)
    scores = (rng.random((marks, 4)) < rates[asked]).astype(np.float64)
    cost = np.tile([1.0, 0.4, 0.15, 0.05], (marks, 1))
    quality = np.empty_like(scores)
    for kept, left in folds(marks, None, FOLDS):
        quality[left] = rates_by_application(scores[kept], asked[kept])[asked[left]]
    found = promise(quality, scores, cost, most_loss=0.02)
    assert found is not None
    worth = worths(
        rates_by_application(scores, asked),
        cost[:40],
        found.best,
        lead=found.lead,
        price=found.price,
        floor=found.floor,
    )
    chosen = choices(worth, cost[:40], 0.0)
    true = float((rates[:, found.best] - rates[np.arange(40), chosen]).mean())
    return found.loss, true, found.loss_se


def rates_by_application(scores: Array, asked: NDArray[np.intp]) -> Array:
    """Each starts with six marks of the overall rates, shape (40, experts)."""
    usual, own = scores.mean(axis=0), [scores[asked == a] for a in range(40)]
    return np.array([(each.sum(axis=0) + 6 * usual) / (len(each) + 6) for each in own])


def test_the_interval_of_a_loss_contains_the_true_one() -> None:
    """In most of 60 worlds: of fits that share prompts, what came says less than it seems to."""
    loss, true, error = np.array([said_and_true(seed) for seed in range(60)]).T
    assert np.mean(np.abs(true - loss) < 1.96 * error) > 0.95
    assert np.mean(error) < 0.03


def test_too_few_marks_keep_no_promise() -> None:
    """Nothing is given up, and it says so."""
    quality, scores, cost = marked(FEWEST, seed=3)
    found = promise(quality, scores, cost, most_loss=-0.05)
    assert isinstance(found, Promise)
    assert (found.price, found.kept, found.marks) == (0.0, False, FEWEST)
    assert promise(quality[1:], scores[1:], cost[1:], most_loss=0.01) is None


@pytest.mark.parametrize(("prices", "best"), [((9.0, 5.0, 2.0, 1.0), 0), ((1.0, 1.0, 1.0, 9.0), 1)])
def test_of_few_marks_a_dear_expert_is_the_better_one(prices: list[float], best: int) -> None:
    """Where prices follow the rates; where they don't, the rates decide."""
    right = [[1] * 30 + [0] * 20, [1] * 31 + [0] * 19, [1] * 20 + [0] * 30, [1] * 10 + [0] * 40]
    rng = np.random.default_rng(0)
    scores = np.column_stack([rng.permutation(np.array(r, dtype=np.float64)) for r in right])
    assert best_single(scores, np.tile(prices, (50, 1))) == best


def test_marks_without_the_best_expert_do_not_count() -> None:
    """There is nothing to compare with."""
    quality, scores, cost = marked(100)
    scores[FEWEST - 1 :, 0] = np.nan
    scores[: FEWEST - 1, 0] = 1.0
    assert promise(quality, scores, cost, most_loss=0.05) is None


def test_of_a_large_pool_those_that_are_never_good_enough_are_left_out() -> None:
    """The promise is that of the whole pool."""
    quality, scores, cost = marked()
    hopeless = np.zeros((len(quality), MOST_EXPERTS))
    large = promise(
        np.hstack([quality, hopeless]),
        np.hstack([scores, hopeless]),
        np.hstack([cost, hopeless + 1e-6]),
        most_loss=0.05,
    )
    assert large == promise(quality, scores, cost, most_loss=0.05)


def test_the_costs_are_tokens_times_prices() -> None:
    """Of the prompt and the answer; an answer that was not counted is as long as the expert's."""
    tokens = np.array([[100.0, 10.0, np.nan, np.nan], [200.0, 30.0, 40.0, np.nan]])
    found = costs(tokens, [(1.0, 2.0), (3.0, 5.0), (0.5, 1.0)])
    usual = (20.0 + 40.0) / 2
    expected = [
        [100 * 1 + 10 * 2, 100 * 3 + 40 * 5, 100 * 0.5 + usual],
        [200 * 1 + 30 * 2, 200 * 3 + 40 * 5, 200 * 0.5 + usual],
    ]
    np.testing.assert_allclose(found, np.array(expected) / 1e6)


def test_an_unknown_price_is_above_all_known_ones() -> None:
    """So no saving is promised by an expert that may be dear, as none is chosen to save."""
    tokens = np.array([[100.0, 10.0, 10.0, 10.0]])
    found = costs(tokens, [(1.0, 2.0), (None, 0.1), (3.0, 5.0)])
    assert found[0, 1] == UNKNOWN_USD > found[0, 2] > found[0, 0]
    quality, scores, cost = marked()
    cost[:, 0] = UNKNOWN_USD
    assert promise(quality, scores, cost, most_loss=0.05) is None  # of the best single expert
    assert np.isfinite(costs(np.full((2, 3), [5.0, np.nan, np.nan]), [(1.0, 1.0)] * 2)).all()
