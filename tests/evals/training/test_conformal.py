"""The floor under the choice: true chances are known here, so the guarantee can be seen to fail."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from collegium.evals.training.conformal import Floor, breaks, fit_floor, p_value
from collegium.router.predictors.base import sigmoid
from collegium.router.predictors.logistic import Logistic
from collegium.router.tradeoff import choices

Array = NDArray[np.float64]
PRICES = np.array([1.0, 2.0, 4.0, 8.0])
WITHIN, GUARANTEE = 0.05, 0.9


class World:
    """Four experts whose chance of a right answer is known for every query."""

    def __init__(self, seed: int, *, dimensions: int = 8) -> None:
        self._rng = np.random.default_rng(seed)
        scale = 1.5 / np.sqrt(dimensions)
        self._weights = scale * self._rng.normal(size=(dimensions, len(PRICES)))
        self._shift = 0.5 * self._rng.normal(size=len(PRICES))

    def queries(self, count: int) -> tuple[Array, Array]:
        """Queries (n, d) and the true chances (n, experts)."""
        X = self._rng.normal(size=(count, len(self._weights)))
        return X, sigmoid(X @ self._weights + self._shift)

    def heads(self, count: int) -> Logistic:
        """Forecasts learnt from one answer an expert on so many queries."""
        X, chances = self.queries(count)
        return Logistic(C=1.0).fit(X, (self._rng.random(chances.shape) < chances) * 1.0)


def cost_of(count: int) -> Array:
    """The same prices for every query."""
    return np.tile(PRICES, (count, 1))


def kept(world: World, heads: Logistic, tolerated: float, count: int = 20_000) -> float:
    """The share of new queries whose chosen expert is truly good enough."""
    X, chances = world.queries(count)
    chosen = choices(heads.predict(X), cost_of(count), tolerated)
    return float(1 - breaks(chances, chosen, WITHIN).mean())


def floors(seed: int, trained_on: int, calibrated_on: int = 800) -> tuple[World, Logistic, Floor]:
    """A world, forecasts, and the floor by the true chances of the calibration queries."""
    world = World(seed)
    heads = world.heads(trained_on)
    X, chances = world.queries(calibrated_on)
    floor = fit_floor(heads.predict(X), cost_of(calibrated_on), chances)
    return world, heads, floor


def test_the_guarantee_holds_on_new_queries() -> None:
    """In nearly all of 20 worlds: each may fail with a probability of 5 %."""
    held = []
    for seed in range(20):
        world, heads, floor = floors(seed, trained_on=1500)
        assert floor.certified
        held.append(kept(world, heads, floor.tolerance) >= GUARANTEE)
    assert sum(held) >= binom.ppf(0.001, 20, 0.95)


def test_the_forecasts_own_word_is_no_guarantee() -> None:
    """Taking every expert forecast to be within 0.05 breaks it where the forecasts are poor."""
    world = World(1)
    assert kept(world, world.heads(200), WITHIN) < GUARANTEE


def test_good_forecasts_may_give_up_more_than_the_guarantees_own_width() -> None:
    """It is a share that is guaranteed, so the floor is lower than the naive one, and cheaper."""
    world, heads, floor = floors(3, trained_on=6000)
    X, _ = world.queries(2000)
    naive, chosen = (
        PRICES[choices(heads.predict(X), cost_of(2000), t)].mean() for t in (0.0, floor.tolerance)
    )
    assert floor.tolerance > WITHIN
    assert chosen < 0.9 * naive


def test_forecasts_that_know_nothing_are_not_certified() -> None:
    """It says so, gives nothing up, and tells what share is good enough all the same."""
    world = World(0)
    _, chances = world.queries(1000)
    noise = np.random.default_rng(0).random(chances.shape)
    floor = fit_floor(noise, cost_of(1000), chances)
    truly = float(1 - breaks(chances, choices(noise, cost_of(1000), 0.0), WITHIN).mean())
    assert (floor.certified, floor.tolerance) == (False, 0.0)
    assert truly - 0.05 < floor.attained <= truly


def test_few_queries_certify_little() -> None:
    """Without evidence there is no guarantee, however good the forecasts are."""
    _, chances = World(0).queries(20)
    assert not fit_floor(chances, cost_of(20), chances).certified
    _, chances = World(0).queries(40)
    assert fit_floor(chances, cost_of(40), chances).certified


def test_a_stricter_guarantee_gives_up_less() -> None:
    """Monotone in what is promised."""
    world = World(2)
    heads = world.heads(4000)
    X, chances = world.queries(2000)
    found = [
        fit_floor(heads.predict(X), cost_of(2000), chances, guarantee=g).tolerance
        for g in (0.7, 0.8, 0.9, 0.95)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


@pytest.mark.parametrize("broken", [0, 3, 10, 25])
def test_the_p_value_is_the_binomial_tail(broken: int) -> None:
    """Against a simulation."""
    drawn = np.random.default_rng(0).binomial(100, 0.1, size=200_000)
    assert p_value(broken, 100, 0.1) == pytest.approx(float(np.mean(drawn <= broken)), abs=0.004)
