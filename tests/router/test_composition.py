"""Composition under budgets: against brute force, and what the dual promises."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from collegium.errors import NoFeasibleExpert
from collegium.router.composition import Assignment, Budget, assign, compose

Array = NDArray[np.float64]
NAMES = ("cost", "latency", "energy")


def best_by_trying(
    quality: Array, budgets: list[Budget], weights: Array
) -> tuple[float, tuple[int, ...]] | None:
    """The best of all assignments that keep every budget."""
    rows, shares = np.arange(len(quality)), weights / weights.sum()
    found: list[tuple[float, tuple[int, ...]]] = []
    for chosen in product(range(quality.shape[1]), repeat=len(quality)):
        spent = [float(shares @ b.use[rows, chosen]) for b in budgets]
        if all(s <= b.limit + 1e-12 for s, b in zip(spent, budgets, strict=True)):
            found.append((float(shares @ quality[rows, chosen]), chosen))
    return max(found, default=None)


@st.composite
def problems(draw: Any) -> tuple[Array, list[Budget], Array]:
    """Up to 4 categories, 4 experts and 3 budgets; round numbers, so that ties are common."""
    rows, experts = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    quality = rng.integers(0, 11, (rows, experts)) / 10
    budgets = [
        Budget(name, rng.integers(0, 9, (rows, experts)) / 4, draw(st.integers(0, 18)) / 8)
        for name in NAMES[: draw(st.integers(0, 3))]
    ]
    return quality, budgets, rng.integers(1, 5, rows).astype(float)


@given(problems())
def test_it_is_as_good_as_the_best_of_all_assignments(
    problem: tuple[Array, list[Budget], Array],
) -> None:
    """The same quality as trying every one, within every budget; or nobody where none fits."""
    quality, budgets, weights = problem
    best = best_by_trying(quality, budgets, weights)
    if best is None:
        with pytest.raises(NoFeasibleExpert):
            compose(quality, budgets, weights)
        return
    found = compose(quality, budgets, weights)
    assert found.quality == pytest.approx(best[0], abs=1e-9)
    assert found.bound >= found.quality - 1e-7
    for budget in budgets:
        assert found.spent[budget.name] <= budget.limit + 1e-9


@given(problems(), st.sampled_from([1e-7, 1.0, 1e5]))
def test_the_unit_of_a_budget_changes_nothing(
    problem: tuple[Array, list[Budget], Array], unit: float
) -> None:
    """Dollars a query are tiny numbers, milliseconds large ones: both are kept exactly."""
    quality, budgets, weights = problem
    scaled = [Budget(b.name, b.use * unit, b.limit * unit) for b in budgets]
    best = best_by_trying(quality, budgets, weights)
    if best is not None:
        # The budget's own rounding must not shut out what it just allows.
        loose = [Budget(b.name, b.use, b.limit * (1 + 1e-12)) for b in scaled]
        assert compose(quality, loose, weights).quality == pytest.approx(best[0], abs=1e-9)


@given(problems())
def test_a_batch_is_nearly_as_good_and_says_how_nearly(
    problem: tuple[Array, list[Budget], Array],
) -> None:
    """Within the budgets, and at most the stated gap below the best assignment."""
    quality, budgets, _ = problem
    best = best_by_trying(quality, budgets, np.ones(len(quality)))
    if best is None:
        with pytest.raises(NoFeasibleExpert):
            assign(quality, budgets)
        return
    found = assign(quality, budgets)
    assert found.quality <= best[0] + 1e-9
    assert best[0] - found.quality <= found.gap + 1e-7
    for budget in budgets:
        assert found.spent[budget.name] <= budget.limit + 1e-9


def strong_and_weak(rows: int, limit: float, seed: int = 0) -> tuple[Array, Budget]:
    """A weak expert that is free, a strong one that costs 1 and is worth it now and then."""
    rng = np.random.default_rng(seed)
    weak = rng.uniform(0, 1, rows)
    strong = weak + rng.uniform(0, 1 - weak)
    use = np.tile([0.0, 1.0], (rows, 1))
    return np.column_stack([weak, strong]), Budget("max_cost_usd", use, limit, "USD")


def test_the_shadow_price_is_what_a_little_more_budget_buys() -> None:
    """The dual against the difference quotient of the exact optimum."""
    step = 0.05
    quality, budget = strong_and_weak(400, limit=0.30)
    _, more = strong_and_weak(400, limit=0.30 + step)
    low, high = compose(quality, [budget]), compose(quality, [more])
    bought = (high.quality - low.quality) / step

    assert high.shadow_prices["max_cost_usd"] <= bought <= low.shadow_prices["max_cost_usd"]
    assert low.shadow_prices["max_cost_usd"] == pytest.approx(bought, rel=0.15)


def test_a_budget_that_does_not_bind_has_no_price() -> None:
    """Money that nobody needs buys nothing."""
    quality, budget = strong_and_weak(50, limit=1.0)
    found = compose(quality, [budget])
    assert found.shadow_prices == {"max_cost_usd": 0.0}
    assert found.quality == pytest.approx(quality.max(axis=1).mean())


def test_a_batch_loses_at_most_one_query_a_budget() -> None:
    """The relaxation is integral but for as many queries as there are budgets."""
    rng = np.random.default_rng(3)
    quality, cost, latency = rng.random((3, 300, 6))
    budgets = [Budget("cost", cost, 0.25), Budget("latency", latency, 0.3)]
    found = assign(quality, budgets)
    assert found.gap <= 2 / 300
    assert found.quality <= compose(quality, budgets).quality + 1e-9


def test_the_greedy_line_by_line_choice_is_worse() -> None:
    """Spending on the first lines what the last ones need more is what the program avoids."""
    quality, budget = strong_and_weak(200, limit=0.25)
    greedy = np.zeros(200, dtype=int)
    greedy[:50] = 1
    assert assign(quality, [budget]).quality > quality[np.arange(200), greedy].mean() + 0.05


def test_unknown_cells_are_never_chosen() -> None:
    """NaN is not a free expert of quality nothing."""
    quality = np.array([[0.9, 0.5], [np.nan, 0.4]])
    use = np.array([[np.nan, 1.0], [0.0, 1.0]])
    found: Assignment = compose(quality, [Budget("cost", use, 2.0)])
    assert found.experts.tolist() == [1, 1]


def test_a_budget_that_is_too_small_is_told_the_least_that_would_do() -> None:
    """And that budget does."""
    quality, use = np.ones((2, 2)), np.array([[3.0, 1.0], [2.0, 4.0]])
    with pytest.raises(NoFeasibleExpert, match=r"cost=1 is too little.* feasible is 1\.5 USD"):
        compose(quality, [Budget("cost", use, 1.0, "USD")])
    assert compose(quality, [Budget("cost", use, 1.5, "USD")]).experts.tolist() == [1, 0]


def test_budgets_that_exclude_each_other_are_told_what_each_needs_with_the_others() -> None:
    """A cheap slow expert and a dear fast one: either budget fits, not both."""
    quality = np.ones((1, 2))
    cost = Budget("cost", np.array([[1.0, 5.0]]), 2.0, "USD")
    latency = Budget("latency", np.array([[900.0, 100.0]]), 300.0, "ms")
    with pytest.raises(NoFeasibleExpert) as refused:
        compose(quality, [cost, latency])
    assert "with latency=300, cost needs 5 USD" in str(refused.value)
    assert "with cost=2, latency needs 900 ms" in str(refused.value)


def test_a_row_that_nobody_is_known_to_answer_is_named() -> None:
    """No budget could mend it."""
    with pytest.raises(NoFeasibleExpert, match="no expert of known quality"):
        compose(np.array([[np.nan, np.nan]]), [])
