"""Limits: what breaks one says so, and nobody is sent away without knowing what would do."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collegium.router.decision import Forecast, Limits
from collegium.router.limits import infeasible, mark

FORECAST = Forecast("sql", 0.9, 0.005, 400.0, 8.0, 20, most_usd=0.02)


@pytest.mark.parametrize(
    ("limit", "note"),
    [
        ({"max_cost_usd": 0.01}, "max_cost_usd: 0.02 USD > 0.01"),
        ({"max_latency_ms": 300}, "max_latency_ms: 400 ms > 300"),
        ({"max_energy_j": 5}, "max_energy_j: 8 J > 5"),
        ({"min_quality": 0.95}, "min_quality: 0.9 < 0.95"),
    ],
)
def test_each_limit_marks_what_breaks_it(limit: dict[str, Any], note: str) -> None:
    """The note names the limit, the forecast's value and the limit's."""
    (marked,) = mark([FORECAST], Limits(**limit))
    assert (marked.feasible, marked.note) == (False, note)


@pytest.mark.parametrize(
    "limit",
    [
        {},
        {"max_cost_usd": 0.02, "max_latency_ms": 400, "max_energy_j": 8, "min_quality": 0.9},
    ],
)
def test_what_is_just_within_the_limits_is_left_alone(limit: dict[str, Any]) -> None:
    """A limit is the last value that is allowed."""
    assert mark([FORECAST], Limits(**limit)) == (FORECAST,)


@pytest.mark.parametrize(
    ("unknown", "limit"),
    [({"energy_j": None}, {"max_energy_j": 100}), ({"quality": None}, {"min_quality": 0.1})],
)
def test_an_unknown_value_breaks_its_limit(unknown: dict[str, Any], limit: dict[str, Any]) -> None:
    """Nobody can promise what nobody knows."""
    (marked,) = mark([replace(FORECAST, **unknown)], Limits(**limit))
    assert (marked.feasible, marked.note) == (False, f"{next(iter(limit))}: unknown")


def test_an_unknown_price_breaks_a_limit_on_cost_and_says_how_to_state_it() -> None:
    """It is never taken for free; the refusal of a whole pool tells it as well."""
    unknown = replace(FORECAST, cost_usd=None, most_usd=None)
    limits = Limits(max_cost_usd=1e9)
    (marked,) = mark([unknown], limits)
    assert not marked.feasible
    assert marked.note.startswith("max_cost_usd: unknown; set its price with `collegium expert up")
    assert "max_cost_usd: unknown" in str(infeasible([marked], limits))


def test_the_first_broken_limit_is_the_one_that_is_noted() -> None:
    """One reason is enough."""
    (marked,) = mark([FORECAST], Limits(max_cost_usd=0.0, min_quality=1.0))
    assert marked.note.startswith("max_cost_usd")


def test_what_was_not_feasible_before_keeps_its_reason() -> None:
    """A limit does not hide why an expert can't answer anyway."""
    down = replace(FORECAST, feasible=False, note="not available now")
    assert mark([down], Limits(max_cost_usd=0.0)) == (down,)


def test_the_message_names_the_nearest_feasible_value() -> None:
    """Over all experts, for each limit that leaves nobody."""
    pool = [FORECAST, replace(FORECAST, expert="lists", most_usd=0.0123456, quality=0.5)]
    limits = Limits(max_cost_usd=0.01, min_quality=0.95, max_latency_ms=1000)
    error = infeasible(mark(pool, limits), limits)

    assert (error.http_status, error.code, error.param) == (422, "no_feasible_expert", "routing")
    assert "max_cost_usd=0.01 leaves nobody; the nearest feasible is 0.01235 USD." in str(error)
    assert "min_quality=0.95 leaves nobody; the nearest feasible is 0.9." in str(error)
    assert "max_latency_ms" not in str(error)
    assert "sql (max_cost_usd: 0.02 USD > 0.01)" in str(error)


def test_limits_that_exclude_each_other_are_told_expert_by_expert() -> None:
    """No single limit leaves nobody, so the refusals say it."""
    pool = [FORECAST, replace(FORECAST, expert="lists", most_usd=0.0, quality=0.1)]
    limits = Limits(max_cost_usd=0.01, min_quality=0.5)
    message = str(infeasible(mark(pool, limits), limits))

    assert "leaves nobody" not in message
    assert "sql (max_cost_usd: 0.02 USD > 0.01)" in message
    assert "lists (min_quality: 0.1 < 0.5)" in message


def test_limits_that_exclude_each_other_are_told_what_each_needs() -> None:
    """With the others held; and who is nearest to fit, and what that takes."""
    pool = [FORECAST, replace(FORECAST, expert="lists", most_usd=0.0, quality=0.1)]
    limits = Limits(max_cost_usd=0.019, min_quality=0.5)
    message = str(infeasible(mark(pool, limits), limits))

    assert "Each limit can be kept, not all together." in message
    assert "With min_quality=0.5, max_cost_usd needs 0.02 USD." in message
    assert "With max_cost_usd=0.019, min_quality needs 0.1." in message
    assert "The nearest expert is sql, which needs max_cost_usd=0.02." in message


def test_three_limits_of_which_no_two_meet_still_name_the_nearest_expert() -> None:
    """Relaxing one limit alone helps nobody, so the message says which to relax together."""
    pool = [
        replace(FORECAST, expert="good", quality=0.9, most_usd=1.0, latency_ms=1000.0),
        replace(FORECAST, expert="cheap", quality=0.1, most_usd=0.1, latency_ms=1000.0),
        replace(FORECAST, expert="fast", quality=0.1, most_usd=1.0, latency_ms=300.0),
    ]
    limits = Limits(max_cost_usd=0.1, max_latency_ms=300, min_quality=0.9)
    message = str(infeasible(mark(pool, limits), limits))
    assert "needs max_latency_ms=1000 and min_quality=0.1" in message


def test_who_is_down_is_nobodys_nearest() -> None:
    """Relaxing a limit until it fits would still get no answer."""
    down = replace(FORECAST, expert="down", most_usd=0.011, feasible=False, note="not available")
    limits = Limits(max_cost_usd=0.01)
    message = str(infeasible(mark([FORECAST, down], limits), limits))
    assert "the nearest feasible is 0.02 USD" in message


limits_ = st.builds(
    Limits,
    max_cost_usd=st.none() | st.floats(1e-6, 1),
    max_latency_ms=st.none() | st.floats(1, 1e4),
    max_energy_j=st.none() | st.floats(0.1, 100),
    min_quality=st.none() | st.floats(0, 1),
)
several = st.lists(
    st.builds(
        Forecast,
        expert=st.sampled_from("abcdef"),
        quality=st.none() | st.floats(0, 1),
        cost_usd=st.floats(1e-6, 2),
        most_usd=st.none() | st.floats(1e-6, 2),
        latency_ms=st.floats(1, 2e4),
        energy_j=st.none() | st.floats(0.1, 200),
        output_tokens=st.just(10),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda f: f.expert,
)


@given(several, limits_)
def test_relaxing_what_the_nearest_expert_needs_lets_it_pass(
    pool: list[Forecast], limits: Limits
) -> None:
    """For any combination of limits: the message is a recipe."""
    if any(f.feasible for f in mark(pool, limits)):
        return
    message = str(infeasible(mark(pool, limits), limits))
    told = re.search(r"The nearest expert is (\w), which needs (.+?)\.(?: |$)", message)
    values = [getattr(limits, n) for n in ("max_cost_usd", "max_energy_j", "min_quality")]
    if told is None:  # only where nobody's values are all known
        assert any(value is not None for value in values)
        return
    relaxed = dict(pair.split("=") for pair in told[2].split(" and "))
    passing = dataclasses.replace(limits, **{n: float(v) for n, v in relaxed.items()})  # type: ignore[arg-type]
    assert [f.expert for f in mark(pool, passing) if f.feasible and f.expert == told[1]]


values = st.floats(1e-9, 1e6)


@given(
    st.sampled_from(["max_cost_usd", "max_latency_ms", "max_energy_j"]),
    st.lists(values, min_size=1, max_size=4),
)
def test_a_caller_who_does_as_told_is_served(name: str, found: list[float]) -> None:
    """The value that the message names, whatever its digits, lets somebody pass."""
    field = {"max_cost_usd": "most_usd", "max_latency_ms": "latency_ms"}.get(name, "energy_j")
    pool = [replace(FORECAST, **{field: value}) for value in found]
    message = str(infeasible(pool, Limits(**{name: 1e-10})))  # type: ignore[arg-type]

    nearest = re.search(r"nearest feasible is (\S+)", message)
    assert nearest is not None
    relaxed = Limits(**{name: float(nearest[1])})  # type: ignore[arg-type]
    assert any(f.feasible for f in mark(pool, relaxed))


@given(st.floats(0, 0.999), st.floats(0.0011, 1))
def test_a_floor_that_is_told_lets_somebody_pass(best: float, gap: float) -> None:
    """Rounding a quality up would tell callers to ask for more than there is."""
    pool = [replace(FORECAST, quality=best)]
    limits = Limits(min_quality=best + gap)
    message = str(infeasible(mark(pool, limits), limits))

    nearest = re.search(r"nearest feasible is (\d\S*?)\.(?:\s|$)", message)
    assert nearest is not None, message
    (marked,) = mark(pool, Limits(min_quality=float(nearest[1])))
    assert marked.feasible
