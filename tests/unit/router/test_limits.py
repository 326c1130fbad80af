"""Limits: what breaks one says so, and nobody is sent away without knowing what would do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collegium.router.decision import Forecast, Limits
from collegium.router.limits import infeasible, mark

FORECAST = Forecast("sql", 0.9, 0.02, 400.0, 8.0, 20)


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
    pool = [FORECAST, replace(FORECAST, expert="lists", cost_usd=0.0123456, quality=0.5)]
    limits = Limits(max_cost_usd=0.01, min_quality=0.95, max_latency_ms=1000)
    error = infeasible(mark(pool, limits), limits)

    assert (error.http_status, error.code, error.param) == (422, "no_feasible_expert", "routing")
    assert "max_cost_usd=0.01 leaves nobody; the nearest feasible is 0.01235 USD." in str(error)
    assert "min_quality=0.95 leaves nobody; the nearest feasible is 0.9." in str(error)
    assert "max_latency_ms" not in str(error)
    assert "sql (max_cost_usd: 0.02 USD > 0.01)" in str(error)


def test_limits_that_exclude_each_other_are_told_expert_by_expert() -> None:
    """No single limit leaves nobody, so the refusals say it."""
    pool = [FORECAST, replace(FORECAST, expert="lists", cost_usd=0.0, quality=0.1)]
    limits = Limits(max_cost_usd=0.01, min_quality=0.5)
    message = str(infeasible(mark(pool, limits), limits))

    assert "leaves nobody" not in message
    assert "sql (max_cost_usd: 0.02 USD > 0.01)" in message
    assert "lists (min_quality: 0.1 < 0.5)" in message


values = st.floats(1e-9, 1e6)


@given(
    st.sampled_from(["max_cost_usd", "max_latency_ms", "max_energy_j"]),
    st.lists(values, min_size=1, max_size=4),
)
def test_a_caller_who_does_as_told_is_served(name: str, found: list[float]) -> None:
    """The value that the message names, whatever its digits, lets somebody pass."""
    field = {"max_cost_usd": "cost_usd", "max_latency_ms": "latency_ms"}.get(name, "energy_j")
    pool = [replace(FORECAST, **{field: value}) for value in found]  # type: ignore[arg-type]
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
