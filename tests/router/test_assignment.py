"""A job's joint assignment, against every assignment there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from collegium.errors import NoFeasibleExpert
from collegium.router.assignment import JobAssignment, JobLimits, assign_job

NAMES = ("a", "b", "c")


def keeps(chosen: tuple[int, ...], cost: np.ndarray, limits: JobLimits) -> bool:
    spent = sum(cost[line, expert] for line, expert in enumerate(chosen))
    if limits.budget_usd is not None and spent > limits.budget_usd + 1e-9:
        return False
    return all(chosen.count(NAMES.index(n)) <= most for n, most in limits.capacity.items())


def best_of_all(value: np.ndarray, cost: np.ndarray, limits: JobLimits) -> float | None:
    """The highest value of all assignments that keep the limits."""
    totals = [
        sum(value[line, expert] for line, expert in enumerate(chosen))
        for chosen in product(range(len(NAMES)), repeat=len(value))
        if keeps(chosen, cost, limits)
    ]
    known = [total for total in totals if np.isfinite(total)]
    return max(known, default=None)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans(), st.booleans())
def test_it_is_as_good_as_the_best_of_all_assignments(
    seed: int, lines: int, budgeted: bool, capped: bool
) -> None:
    """Exactly, within every limit, or refused where nothing fits."""
    rng = np.random.default_rng(seed)
    value, cost = rng.random((lines, 3)), rng.random((lines, 3)) / 100
    value[rng.random(value.shape) < 0.15] = np.nan
    limits = JobLimits(
        budget_usd=float(rng.uniform(0.2, 0.9)) * lines / 100 if budgeted else None,
        capacity={n: int(rng.integers(0, lines + 1)) for n in NAMES} if capped else {},
    )
    best = best_of_all(value, cost, limits)
    if best is None:
        with pytest.raises(NoFeasibleExpert):
            assign_job(value, cost, NAMES, limits)
        return
    found = assign_job(value, cost, NAMES, limits)
    assert keeps(tuple(found.experts.tolist()), cost, limits)
    assert found.value == pytest.approx(best, abs=1e-6)
    assert found.bound >= found.value - 1e-7


def least_cost(cost: np.ndarray, limits: JobLimits) -> float:
    """Of all assignments within the capacities: each expert is as many columns as it has places."""
    places = [limits.capacity.get(name, len(cost)) for name in NAMES]
    wide = np.repeat(cost, places, axis=1)
    rows, columns = linear_sum_assignment(wide)
    return float(wide[rows, columns].sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
@example(679)
def test_the_dual_prices_prove_the_bound(seed: int) -> None:
    """Weak duality by hand: lines choose freely at the prices, limits are paid for in full."""
    rng = np.random.default_rng(seed)
    value, cost = rng.random((40, 3)), rng.random((40, 3))
    limits = JobLimits(budget_usd=14.0, capacity={"a": 9, "b": 20})
    if least_cost(cost, limits) > 14.0:  # about one job of 300
        with pytest.raises(NoFeasibleExpert, match="No assignment fits"):
            assign_job(value, cost, NAMES, limits)
        return
    found = assign_job(value, cost, NAMES, limits)
    price = np.array([found.capacity_prices.get(n, 0.0) for n in NAMES])
    freely = (value - found.budget_price * cost - price).max(axis=1).sum()
    paid = found.budget_price * 14.0 + sum(
        found.capacity_prices[n] * limits.capacity[n] for n in "ab"
    )
    assert found.bound == pytest.approx(freely + paid, abs=1e-6)
    assert found.value <= freely + paid + 1e-6


def test_capacities_alone_leave_no_gap() -> None:
    """A transportation problem: its relaxation is whole, so the bound is reached."""
    rng = np.random.default_rng(1)
    value = rng.random((2000, 3))
    limits = JobLimits(capacity={"a": 500, "b": 700, "c": 800})
    found = assign_job(value, np.zeros_like(value), NAMES, limits)
    assert found.gap == pytest.approx(0, abs=1e-6)
    assert np.bincount(found.experts, minlength=3).tolist() == [500, 700, 800]


def test_a_line_by_line_choice_would_be_worse() -> None:
    """The dear expert's one place goes to the line that gains most by it, not to the first."""
    value = np.array([[0.9, 0.8, 0.0], [0.9, 0.1, 0.0]])
    found = assign_job(value, np.zeros_like(value), NAMES, JobLimits(capacity={"a": 1}))
    assert found.experts.tolist() == [1, 0]
    assert 0.1 - 1e-9 <= found.capacity_prices["a"] <= 0.8 + 1e-9  # any of these proves it


def refusal(limits: JobLimits) -> str:
    with pytest.raises(NoFeasibleExpert) as refused:
        assign_job(np.ones((4, 3)), np.full((4, 3), 0.5), NAMES, limits)
    return str(refused.value)


def test_a_refusal_says_what_would_be_needed() -> None:
    """The cheapest total for a budget, the missing room for capacities."""
    assert "cost 2 USD" in refusal(JobLimits(budget_usd=1.0))
    room = refusal(JobLimits(capacity={"a": 1, "b": 1, "c": 1}))
    assert "take 3 lines of 4" in room


def unlimited(value: np.ndarray) -> JobAssignment:
    return assign_job(value, np.zeros_like(value), NAMES, JobLimits())


def test_without_limits_each_line_goes_to_its_best_expert() -> None:
    """No solver is asked."""
    value = np.random.default_rng(0).random((50, 3))
    found = unlimited(value)
    assert found.experts.tolist() == value.argmax(axis=1).tolist()
    assert (found.gap, found.budget_price) == (0.0, 0.0)
