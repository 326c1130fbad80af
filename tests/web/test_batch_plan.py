"""Lines of a job, decided together: as each alone where no limit binds, at the least loss else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collegium.errors import NoFeasibleExpert
from collegium.router.assignment import JobLimits
from collegium.router.decision import Decision, Forecast
from collegium.router.policy import choose
from collegium.web.batch.plan import jointly

NAMES = ("small", "middle", "large")
COSTS = (0.001, 0.01, 0.1)


def forecasts(qualities: Sequence[float], costs: Sequence[float | None]) -> tuple[Forecast, ...]:
    """What is expected of each expert on one line."""
    return tuple(
        Forecast(name, q, c, 100.0, None, 50, most_usd=c)
        for name, q, c in zip(NAMES, qualities, costs, strict=True)
    )


def decided(
    found: tuple[Forecast, ...],
    price: float = 0.0,
    tolerated: float = 0.0,
    incumbent: str | None = None,
) -> Decision:
    """The decision on a line of its own."""
    chosen = choose(found, tolerated=tolerated, price=price)
    assert chosen is not None
    return Decision(
        incumbent or chosen.expert, "quality", 0.5, "", found, {}, 0.0, "auto",
        tolerated=tolerated, price=price, incumbent=incumbent is not None,
    )  # fmt: skip


def planned(decisions: Sequence[Decision], limits: JobLimits) -> list[Decision]:
    """The job's decisions, in order."""
    numbered = dict(enumerate(decisions))
    tolerated = {n: d.tolerated for n, d in numbered.items()}
    return list(jointly(numbered, tolerated, limits).values())


def job(count: int = 20, *, price: float) -> list[Decision]:
    """Lines on which the dear expert is right the more often."""
    rng = np.random.default_rng(0)
    easy = rng.random(count)
    return [decided(forecasts((0.9 * e, 0.5 + 0.4 * e, 0.9), COSTS), price) for e in easy]


# The solver tells no values apart that differ by 1e-7: prices differ by half of the dearest,
# qualities by a thousandth. What is tolerated lies between two of them: there is no tie.
qualities_ = st.tuples(*[st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)] * 3)
costs_ = st.tuples(*[st.sampled_from([None, 0.0, 0.05, 0.1])] * 3)
lines_ = st.lists(st.builds(forecasts, qualities_, costs_), min_size=1, max_size=6)


@given(lines_, st.sampled_from([0.0, 1.0, 30.0, 3_000.0]), st.sampled_from([0.0, 0.0505]))
def test_where_no_limit_binds_every_line_goes_where_it_would_alone(
    lines: list[tuple[Forecast, ...]], price: float, tolerated: float
) -> None:
    """At any price of a dollar, also where costs are unknown."""
    alone = [decided(found, price, tolerated) for found in lines]
    together = planned(alone, JobLimits(capacity={name: len(lines) for name in NAMES}))
    for line, choice in zip(alone, together, strict=True):
        assert _terms(choice, price, tolerated) == _terms(line, price, tolerated)


def _terms(decision: Decision, price: float, tolerated: float) -> tuple[float | None, bool]:
    """What tells choices apart: the cost, and whether it is worth enough; equals are equal."""
    able = [f for f in decision.forecasts if not price or f.cost_usd is not None]
    worth = {f.expert: (f.quality or 0.0) - price * (f.cost_usd or 0.0) for f in able}
    level = worth.get(decision.expert, -np.inf)
    enough = not able or level >= max(worth.values()) - tolerated - 1e-6
    return decision.forecast.cost_usd, enough


@pytest.mark.parametrize("price", [1.0, 4.0, 20.0])
def test_a_budget_buys_what_is_worth_most_at_the_price(price: float) -> None:
    """Against brute force over all choices of a small job."""
    lines = job(6, price=price)
    limits = JobLimits(budget_usd=0.13)
    spent = _spent(planned(lines, limits))
    assert spent <= 0.13
    value = sum(_worth(d, price) for d in planned(lines, limits))
    headroom = 0.0  # `most_usd` is the mean here
    best = max(
        sum(q - price * c for q, c in choice)
        for choice in _choices(lines)
        if sum(c for _, c in choice) <= 0.13 - headroom
    )
    assert value == pytest.approx(best, abs=1e-4)


def test_a_capacity_moves_who_loses_least_at_the_price() -> None:
    """A moved line goes to who is worth most of the others."""
    lines = job(20, price=2.0)
    middle = sum(d.expert == "middle" for d in lines)
    assert middle > 6
    chosen = planned(lines, JobLimits(capacity={"middle": 5}))
    assert sum(d.expert == "middle" for d in chosen) == 5
    for alone, together in zip(lines, chosen, strict=True):
        if alone.expert != together.expert:
            assert together.policy == "bulk"
            others = [f for f in together.forecasts if f.expert != "middle"]
            assert together.forecast == choose(others, price=2.0)


def test_of_unknown_cost_is_nobody_who_is_worth_anything() -> None:
    """However little the others are worth at the price."""
    found = forecasts((0.2, 0.3, 0.9), (0.1, 0.2, None))
    line = decided(found, price=1_000.0)
    assert line.expert == "small"
    (chosen,) = planned([line], JobLimits(capacity={"small": 1}))
    assert chosen.expert == "small"
    (moved,) = planned([line], JobLimits(capacity={"small": 0}))
    assert moved.expert == "middle"


def test_the_best_single_expert_answers_as_far_as_the_limits_leave_it() -> None:
    """As for a request: the marks do not support the forecasts' trade-offs."""
    found = forecasts((0.5, 0.9, 0.7), (0.001, 0.001, 0.1))
    lines = [decided(found, incumbent="large") for _ in range(6)]
    free = planned(lines, JobLimits(budget_usd=10.0))
    assert [d.expert for d in free] == ["large"] * 6
    assert free == lines
    some = planned(lines, JobLimits(capacity={"large": 2}))
    assert [d.expert for d in some].count("large") == 2
    assert [d.expert for d in some].count("middle") == 4


def test_for_one_dear_line_the_others_are_not_given_up() -> None:
    """What it may cost beyond its mean is as much as the whole budget."""
    usual = forecasts((0.1, 0.9, 0.2), (0.0, 0.01, 0.1))
    dear = tuple(structs.replace(f, most_usd=1.0) for f in forecasts((0.1, 0.2, 0.9), COSTS))
    lines = [decided(usual) for _ in range(20)] + [decided(dear)]
    chosen = planned(lines, JobLimits(budget_usd=0.4))
    assert [d.expert for d in chosen] == ["middle"] * 20 + ["large"]


def test_a_budget_that_buys_nothing_is_refused() -> None:
    """With a price as without."""
    with pytest.raises(NoFeasibleExpert, match="cost"):
        planned(job(price=5.0), JobLimits(budget_usd=1e-6))
    unknown = decided(forecasts((0.5, 0.6, 0.7), (None, None, None)), price=5.0)
    with pytest.raises(NoFeasibleExpert, match="Line 0 can only go to experts of unknown price"):
        planned([replace(unknown, price=5.0)], JobLimits(budget_usd=1.0))


def _worth(decision: Decision, price: float) -> float:
    chosen = decision.forecast
    return (chosen.quality or 0.0) - price * (chosen.cost_usd or 0.0)


def _spent(decisions: Sequence[Decision]) -> float:
    return sum(d.forecast.cost_usd or 0.0 for d in decisions)


def _choices(lines: Sequence[Decision]) -> list[list[tuple[float, float]]]:
    """Every way to answer a job: quality and cost of each line."""
    found: list[list[tuple[float, float]]] = [[]]
    for line in lines:
        each = [(f.quality or 0.0, f.cost_usd or 0.0) for f in line.forecasts]
        found = [[*before, one] for before in found for one in each]
    return found
