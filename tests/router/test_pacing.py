"""Budgets of applications: the price is the exact shadow price, and a day's money lasts a day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from collegium.router.decision import Forecast
from collegium.router.pacing import Budget, Pacing
from collegium.router.shadow_price import shadow_price

Array = NDArray[np.float64]
DAY_S = 86_400.0


def dual(quality: Array, cost: Array, limit: float) -> tuple[float, float]:
    """HiGHS's shadow price of the same budget, and the quality of the relaxed program."""
    rows, experts = quality.shape
    each = np.kron(np.eye(rows), np.ones((1, experts)))
    found = linprog(
        -quality.ravel() / rows,
        A_ub=cost.ravel()[None, :] / rows,
        b_ub=[limit],
        A_eq=each,
        b_eq=np.ones(rows),
    )
    return -float(found.ineqlin.marginals[0]), -float(found.fun)


@given(st.integers(0, 10**6), st.floats(0.0, 1.2))
def test_the_price_is_the_shadow_price_of_the_linear_program(seed: int, where: float) -> None:
    """Where the dual is one number; at the price, the budget is kept."""
    rng = np.random.default_rng(seed)
    quality, cost = rng.random((12, 4)), rng.random((12, 4)) + 0.01
    least, most = cost.min(axis=1).mean(), cost[np.arange(12), quality.argmax(axis=1)].mean()
    limit = float(least + where * (most - least)) + 1e-6
    price = shadow_price(quality, cost, limit)
    expected, bound = dual(quality, cost, limit)
    assert price == pytest.approx(expected, rel=1e-5, abs=1e-7)
    # The Lagrangian at the price is the relaxed program's value: strong duality.
    lagrangian = (quality - price * cost).max(axis=1).mean() + price * limit
    assert lagrangian == pytest.approx(bound, abs=1e-6)


def test_a_budget_that_is_too_small_sends_everything_to_the_cheapest() -> None:
    """And one that does not bind has no price."""
    quality, cost = np.array([[0.5, 0.9], [0.4, 0.8]]), np.array([[1.0, 5.0], [1.0, 5.0]])
    price = shadow_price(quality, cost, 0.5)
    assert ((quality - price * cost).argmax(axis=1) == 0).all()
    assert shadow_price(quality, cost, 5.0) == 0.0


def test_unknown_experts_do_not_count() -> None:
    """NaN is who could not be asked."""
    quality, cost = np.array([[0.5, np.nan], [0.4, 0.8]]), np.array([[1.0, np.nan], [1.0, 5.0]])
    assert shadow_price(quality, cost, 1.0) == pytest.approx(0.1)
    assert shadow_price(quality, cost, 3.0) == 0.0


class Clock:
    """Seconds since 1970, as a test says."""

    def __init__(self) -> None:
        self.now = 10 * DAY_S

    def __call__(self) -> float:
        return self.now


def forecasts(quality: Array, cost: Array) -> tuple[Forecast, ...]:
    """As the router makes them."""
    return tuple(
        Forecast(str(i), float(q), float(c), 0.0, None, 1)
        for i, (q, c) in enumerate(zip(quality, cost, strict=True))
    )


def test_where_a_budget_is_spent_the_cheapest_expert_is_best() -> None:
    """Until its window ends. Whoever counts the money refuses; the price only steers."""
    clock = Clock()
    pacing = Pacing({"chat": Budget(1e6)}, clock)
    quality, cost = np.array([0.5, 0.9]), np.array([0.01, 0.05])
    for _ in range(40):
        pacing.decided("chat", forecasts(quality, cost))
    pacing.spent("chat", 1e6)
    for _ in range(20):
        pacing.decided("chat", forecasts(quality, cost))
    assert int((quality - pacing.price("chat") * cost).argmax()) == 0
    clock.now = 11 * DAY_S
    assert pacing.price("chat") == 0.0


def test_answers_in_flight_count() -> None:
    """With their forecasts, until they end."""
    pacing = Pacing({"chat": Budget(1e6)}, Clock())
    for _ in range(40):
        pacing.decided("chat", forecasts(np.array([0.5, 0.9]), np.array([1e-3, 5e-3])))
    assert pacing.price("chat") == 0.0
    pacing.reserve("chat", 1e6)
    for _ in range(20):
        pacing.decided("chat", forecasts(np.array([0.5, 0.9]), np.array([1e-3, 5e-3])))
    assert pacing.price("chat") > 0.0


def test_what_has_no_budget_is_left_alone() -> None:
    """It has no price, and nothing is counted."""
    pacing = Pacing({"chat": Budget(0.0)}, Clock())
    pacing.settle("other", 0.0, 100.0)
    assert pacing.price("other") == 0.0


def test_a_policy_names_a_budget_or_none() -> None:
    """In an application's policy, as its route stores it."""
    assert Budget.of({"budget_usd": 5, "budget_window_s": 3600}) == Budget(5.0, "3600.0s")
    assert Budget.of({"budget_usd": 5}) == Budget(5.0, "day")
    assert Budget.of({"floor": 0.5}) is None


def test_windows_of_the_calendar_follow_each_other() -> None:
    """Weeks begin on Mondays, months differ in length, and what has no end has no price."""
    february = datetime(2026, 2, 11, 5, tzinfo=UTC).timestamp()
    spans = {name: Budget(1.0, name).span(february) for name in ("week", "month", "total")}
    start, end = spans["week"]
    assert datetime.fromtimestamp(start, UTC) == datetime(2026, 2, 9, tzinfo=UTC)
    assert end - start == 7 * DAY_S
    assert spans["month"][1] - spans["month"][0] == 28 * DAY_S
    assert spans["total"] == (0.0, math.inf)
    clock = Clock()
    pacing = Pacing({"chat": Budget(1e-6, "total")}, clock)
    for _ in range(40):
        pacing.decided("chat", forecasts(np.array([0.5, 0.9]), np.array([1.0, 5.0])))
    assert pacing.price("chat") == 0.0


def test_a_changed_budget_keeps_answers_in_flight_and_what_was_learnt() -> None:
    """The price binds from the next query on."""
    pacing = Pacing({"chat": Budget(1e6)}, Clock())
    for _ in range(40):
        pacing.decided("chat", forecasts(np.array([0.5, 0.9]), np.array([1.0, 5.0])))
    pacing.reserve("chat", 5.0)
    assert pacing.price("chat") == 0.0
    pacing.follow("chat", Budget(10.0))
    assert pacing.price("chat") > 0.0


@dataclass(frozen=True)
class World:
    """Recorded answers by query and expert, and what forecasts know of them: means by task."""

    quality: Array
    cost: Array
    expected_quality: Array
    expected_cost: Array

    @classmethod
    def of(cls, quality: Array, cost: Array, tasks: NDArray[np.str_]) -> World:
        """Forecasts are the tasks' means, off by chance from query to query."""
        rng = np.random.default_rng(0)
        expected_quality, expected_cost = np.zeros_like(quality), np.zeros_like(cost)
        for task in np.unique(tasks):
            here = tasks == task
            expected_quality[here] = quality[here].mean(axis=0)
            expected_cost[here] = cost[here].mean(axis=0)
        expected_quality += 0.02 * rng.standard_normal(quality.shape)
        expected_cost *= np.exp(0.3 * rng.standard_normal(cost.shape))
        return cls(quality, cost, expected_quality, expected_cost)

    @property
    def best(self) -> int:
        """The expert that is best on average."""
        return int(self.quality.mean(axis=0).argmax())


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> World:
    """RouterBench: eleven models whose answers cost from 0.08 to 5 dollars a thousand."""
    from collegium.evals.core.data import load_set

    data = load_set(shared_data / "routerbench3")
    cost = np.asarray(data.extras["cost_usd"], dtype=np.float64)
    scores = np.asarray(data.scores, dtype=np.float64)
    known = np.isfinite(cost).all(axis=1) & np.isfinite(scores).all(axis=1)
    tasks = np.array([str(i).split(".")[0] for i in data.prompt_ids])
    return World.of(scores[known], cost[known], tasks[known])


def days(
    world: World, share: float, *, error: float = 1.0, count: int = 2, queries: int = 3000
) -> list[Mapping[str, float]]:
    """Play days of traffic with a budget of `share` of what the best expert would cost.

    Nights are quiet. `error` is how far costs are forecast from what they are.
    """
    rng, clock = np.random.default_rng(1), Clock()
    usd = share * queries * float(world.cost[:, world.best].mean())
    pacing = Pacing({"chat": Budget(usd)}, clock)
    hours = np.array([1.0] * 7 + [4.0] * 12 + [2.0] * 5)
    played: list[Mapping[str, float]] = []
    for day in range(10, 10 + count):
        hour = rng.choice(24, queries, p=hours / hours.sum())
        spent = right = refused = 0.0
        for second in np.sort(3600 * hour + rng.uniform(0, 3600, queries)):
            clock.now = day * DAY_S + second
            query = rng.integers(len(world.quality))
            quality, cost = world.expected_quality[query], error * world.expected_cost[query]
            if spent >= usd:
                refused += 1
                continue
            price = pacing.price("chat")
            chosen = int((quality - price * cost).argmax())
            pacing.decided("chat", forecasts(quality, cost))
            pacing.reserve("chat", cost[chosen])
            pacing.settle("chat", cost[chosen], world.cost[query, chosen])
            spent += world.cost[query, chosen]
            right += world.quality[query, chosen]
        played.append(
            {"spent": spent / usd, "right": right / queries, "refused": refused / queries}
        )
    return played


@pytest.mark.parametrize("error", [1.0, 0.3, 3.0])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_a_day_s_budget_lasts_a_day(recorded: World, share: float, error: float) -> None:
    """Of recorded answers: within 2 % above the budget, and better than a fixed expert for it."""
    affordable = [
        recorded.quality[:, expert].mean()
        for expert in range(recorded.cost.shape[1])
        if recorded.cost[:, expert].mean() <= share * recorded.cost[:, recorded.best].mean()
    ]
    first, second = days(recorded, share, error=error)
    for day in (first, second):
        assert 0.85 <= day["spent"] <= 1.02
        assert day["refused"] <= 0.01
        assert day["right"] >= max(affordable) - 0.005
    assert second["spent"] >= 0.97


def test_a_budget_that_is_not_needed_costs_no_quality(recorded: World) -> None:
    """No price, the best forecasts."""
    (day,) = days(recorded, 3.0, count=1)
    assert day["spent"] < 0.6
    assert day["right"] == pytest.approx(recorded.quality[:, recorded.best].mean(), abs=0.03)
