"""Two-step routing: within its budget on new queries, and better than one expert for all."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.errors import NoFeasibleExpert
from collegium.router.two_step import Spending, TwoStep, by_category

Array = NDArray[np.float64]
NAMES = np.array(["code", "law", "maths"])
RATES = np.array([[0.3, 0.9, 0.9], [0.8, 0.3, 0.85], [0.3, 0.3, 0.9]])
PRICES = np.array([1.0, 2.0, 10.0])


def queries(each: int, seed: int) -> tuple[Array, Array, NDArray[np.str_], Array]:
    """Three categories; a specialist for each of two, and a dear expert for all."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(3), each)
    X = np.eye(5)[kind] + 0.15 * rng.normal(size=(len(kind), 5))
    scores = (rng.random((len(kind), 3)) < RATES[kind]).astype(np.float64)
    spent = PRICES * rng.lognormal(0, 0.2, scores.shape)
    return X, scores, NAMES[kind], spent


def fitted(limit: float) -> TwoStep:
    """A mapping under a mean cost."""
    X, scores, kinds, spent = queries(300, seed=0)
    return TwoStep.fit(X, scores, kinds, {"cost": Spending(spent, limit, "USD")})


def test_each_category_goes_where_the_budget_buys_most() -> None:
    """The specialists for their own, the dear expert only where no other is good."""
    mapping = fitted(limit=4.6)
    assert mapping.assignment.experts.tolist() == [1, 0, 2]
    assert mapping.assignment.shadow_prices["cost"] > 0


def test_new_queries_keep_the_budget_and_beat_one_expert() -> None:
    """What was promised of the training queries holds for others."""
    mapping = fitted(limit=4.6)
    X, scores, _, spent = queries(400, seed=1)
    chosen, rows = mapping.predict(X), np.arange(len(X))
    assert spent[rows, chosen].mean() < 4.6 * 1.03
    assert scores[rows, chosen].mean() == pytest.approx(mapping.assignment.quality, abs=0.04)
    assert scores[rows, chosen].mean() > scores[:, :2].mean(axis=0).max() + 0.2


def test_without_enough_money_it_says_how_much_is_needed() -> None:
    """The cheapest expert for all is the least."""
    with pytest.raises(NoFeasibleExpert, match=r"cost=0\.5 is too little; the nearest feasible"):
        fitted(limit=0.5)


def test_an_unmeasured_cell_is_the_experts_mean() -> None:
    """By hand."""
    values = np.array([[1.0, np.nan], [0.0, np.nan], [0.5, 0.25]])
    table = by_category(values, np.array(["a", "a", "b"]), np.array(["a", "b"]))
    assert table.tolist() == [[0.5, 0.25], [0.5, 0.25]]
