"""The tolerance that keeps a promised loss, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.beliefs.promise import (
    FEWEST,
    GRID,
    MOST_EXPERTS,
    SPARE,
    SURE,
    TOLERANCE,
    UNKNOWN_USD,
    Promise,
    costs,
    promise,
)

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


def by_hand(quality: Array, scores: Array, cost: Array, given_up: float) -> tuple[float, ...]:
    """Loss, its standard error and the saving at one trade-off, query by query."""
    best = int(((np.nansum(scores, 0) + 0.5) / ((~np.isnan(scores)).sum(0) + 1)).argmax())
    price = given_up / cost[~np.isnan(scores[:, best]), best].mean()
    tolerance = TOLERANCE * given_up
    lost, spent, usual = [], 0.0, 0.0
    for q, s, c in zip(quality, scores, cost, strict=True):
        if np.isnan(s[best]):
            continue
        worth = q - price * c
        enough = [e for e in range(len(q)) if worth[e] >= worth.max() - tolerance]
        chosen = min(enough, key=lambda e: (c[e], -worth[e]))
        spent, usual = spent + c[chosen], usual + c[best]
        if not np.isnan(s[chosen]):
            lost.append(s[best] - s[chosen])
    return np.mean(lost), np.std(lost) / np.sqrt(len(lost)), 1 - spent / usual


@pytest.mark.parametrize("most_loss", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_it_is_the_greatest_tolerance_that_keeps_the_loss(most_loss: float, missing: float) -> None:
    """Of those on the grid, with a standard error and something to spare."""
    quality, scores, cost = marked()
    scores[np.random.default_rng(1).random(scores.shape) < missing] = np.nan
    found = promise(quality, scores, cost, most_loss=most_loss)
    assert found is not None
    able = [
        t
        for t in GRID
        for loss, error, _ in [by_hand(quality, scores, cost, t)]
        if loss + SURE * error <= most_loss - SPARE
    ]
    given_up = max(able, default=0.0)
    assert (found.tolerance, found.kept) == (TOLERANCE * given_up, bool(able))
    loss, error, saving = by_hand(quality, scores, cost, given_up)
    assert (found.loss, found.loss_se, found.saving) == pytest.approx((loss, error, saving))


def test_who_promises_more_saves_more() -> None:
    """A greater loss allows a greater tolerance."""
    small, large = (promise(*marked(), most_loss=loss) for loss in (0.03, 0.1))
    assert small is not None
    assert large is not None
    assert small.tolerance < large.tolerance
    assert 0 < small.saving < large.saving


def test_the_promise_is_kept_on_marks_that_nobody_saw() -> None:
    """On the average of twenty worlds."""
    losses = []
    for seed in range(20):
        found = promise(*marked(400, seed), most_loss=0.05)
        assert found is not None
        quality, scores, cost = marked(2000, 100 + seed)
        losses.append(by_hand(quality, scores, cost, found.tolerance)[0])
    assert np.mean(losses) < 0.05


def test_too_few_marks_keep_no_promise() -> None:
    """Nothing is given up, and it says so."""
    quality, scores, cost = marked(FEWEST, seed=3)
    found = promise(quality, scores, cost, most_loss=0.01)
    assert isinstance(found, Promise)
    assert (found.tolerance, found.kept, found.marks) == (0.0, False, FEWEST)
    assert promise(quality[1:], scores[1:], cost[1:], most_loss=0.01) is None


def test_marks_without_the_best_expert_do_not_count() -> None:
    """There is nothing to compare with."""
    quality, scores, cost = marked(100)
    scores[FEWEST - 1 :, 0] = np.nan
    scores[: FEWEST - 1, 0] = 1.0
    assert promise(quality, scores, cost, most_loss=0.05) is None


def test_of_a_large_pool_those_that_are_never_good_enough_are_left_out() -> None:
    """The tolerance is that of the whole pool."""
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
