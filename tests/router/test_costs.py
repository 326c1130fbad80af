"""Costs: prices by the token, and speeds learnt from the answers that pass by."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collegium.registry.expert import Expert
from collegium.router.costs import Speeds, most_usd, price_usd, total_usd

LOCAL = Expert("sql", "lora", "sql", engine="embedded")
REMOTE = Expert("gpt", "openai", "gpt", input_price=2.0, output_price=8.0)


def test_prices_are_dollars_per_million_tokens() -> None:
    """1000 tokens in at $2 and 500 out at $8 are 0.6 cents."""
    assert price_usd(REMOTE, 1000, 500) == pytest.approx(0.006)
    assert price_usd(LOCAL, 1000, 500) == 0.0


def test_an_unknown_price_is_not_free() -> None:
    """Except for no tokens; an engine that runs here costs nothing unless somebody says so."""
    unknown = Expert("gpt", "openai", "gpt")
    assert price_usd(unknown, 1000, 500) is None
    half = replace(unknown, output_price=2.0)
    assert price_usd(half, 1000, 500) is None
    assert price_usd(half, 0, 500) == pytest.approx(0.001)
    assert price_usd(replace(LOCAL, input_price=1.0), 1000, 0) == pytest.approx(0.001)


def test_forecasts_know_of_prices_that_depend_on_the_request() -> None:
    """Its length, its tier, what is in the cache, and that it is one."""
    prices = {"input_above_1k": 4.0, "cached_input": 0.5, "output_flex": 4.0, "request": 0.001}
    expert = replace(REMOTE, prices=prices)
    assert price_usd(expert, 1000, 0) == 0.003
    assert price_usd(expert, 1001, 0) == 0.005004
    assert price_usd(expert, 1000, 0, cached=500) == 0.00225
    assert price_usd(expert, 1000, 0, cached=5000) == 0.0015
    assert price_usd(expert, 0, 1000, tier="flex") == 0.005


def test_all_that_is_written_may_be_thoughts() -> None:
    """For the upper forecast, where those cost more than words."""
    assert most_usd(REMOTE, 0, 1000, None) == 0.008
    assert most_usd(replace(REMOTE, prices={"reasoning": 20.0}), 0, 1000, None) == 0.02
    assert most_usd(replace(REMOTE, prices={"reasoning": 1.0}), 0, 1000, None) == 0.008


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    """As a panel's cost is where one member has no price."""
    assert total_usd([0.5, 0.25]) == 0.75
    assert total_usd([0.5, None]) is None
    assert total_usd([]) == 0.0


def test_a_speed_is_what_was_told_until_an_answer_passes_by() -> None:
    """The first answer takes the place of the forecast."""
    speeds = Speeds(device_watts=45.0)
    assert speeds.ms_per_token("sql", otherwise=12.0) == 12.0
    speeds.learn("sql", latency_ms=800.0, tokens=20)
    assert speeds.ms_per_token("sql", otherwise=12.0) == 40.0
    assert speeds.ms_per_token("lists", otherwise=12.0) == 12.0


def test_newer_answers_weigh_more() -> None:
    """A fifth each: 40, then 40·0.8 + 10·0.2."""
    speeds = Speeds(device_watts=45.0)
    speeds.learn("sql", latency_ms=400.0, tokens=10)
    speeds.learn("sql", latency_ms=100.0, tokens=10)
    assert speeds.ms_per_token("sql", otherwise=0.0) == pytest.approx(34.0)


def test_an_answer_without_tokens_teaches_nothing() -> None:
    """There is no speed of nothing."""
    speeds = Speeds(device_watts=45.0)
    speeds.learn("sql", latency_ms=400.0, tokens=0)
    assert speeds.ms_per_token("sql", otherwise=7.0) == 7.0


@given(st.lists(st.tuples(st.floats(1, 1e5), st.integers(1, 4000)), min_size=1, max_size=20))
def test_the_mean_stays_among_what_was_seen(answers: list[tuple[float, int]]) -> None:
    """However the answers fall."""
    speeds = Speeds(device_watts=45.0)
    for latency_ms, tokens in answers:
        speeds.learn("sql", latency_ms, tokens)
    seen = [latency_ms / tokens for latency_ms, tokens in answers]
    mean = speeds.ms_per_token("sql", otherwise=0.0)
    assert min(seen) * (1 - 1e-9) <= mean <= max(seen) * (1 + 1e-9)


def test_energy_is_power_times_time_where_the_power_is_ours() -> None:
    """45 W for 2 s are 90 J; of someone else's machine nothing is known."""
    speeds = Speeds(device_watts=45.0)
    assert speeds.energy_j(LOCAL, latency_ms=2000.0) == pytest.approx(90.0)
    assert speeds.energy_j(REMOTE, latency_ms=2000.0) is None


def test_a_few_answers_make_a_model_of_first_and_other_tokens() -> None:
    """500 ms and 10 ms a token: no single time a token fits short and long answers alike."""
    speeds = Speeds(device_watts=45.0)
    for tokens in (10, 20, 40, 80, 15, 30, 60, 120):
        assert speeds.model("sql") is None
        speeds.learn("sql", latency_ms=500.0 + 10 * tokens, tokens=tokens)
    assert speeds.latency_ms(LOCAL, 0, 5, 30.0) == pytest.approx(550, rel=0.01)
    assert speeds.latency_ms(LOCAL, 0, 200, 30.0) == pytest.approx(2500, rel=0.01)


def test_a_busy_engine_is_forecast_to_be_slower() -> None:
    """Every answer that the engine makes besides takes as much as was learnt, until it ends."""
    speeds = Speeds(device_watts=45.0)
    for tokens in (10, 20, 40, 80):
        for load in (0, 4):
            speeds.learn("sql", tokens * (10.0 + 5 * load), tokens, load=load)
    neighbour = Expert("lists", "lora", "lists", engine="embedded")
    idle = speeds.latency_ms(LOCAL, 0, 50, 30.0)
    with speeds.in_flight.answering(neighbour) as before, speeds.in_flight.answering(REMOTE):
        assert (before, speeds.load(LOCAL)) == (0, 1)
        assert speeds.latency_ms(LOCAL, 0, 50, 30.0) == pytest.approx(idle + 50 * 5, rel=0.01)
    assert speeds.latency_ms(LOCAL, 0, 50, 30.0) == idle


def test_an_answer_that_fails_is_in_flight_no_more() -> None:
    """Whatever ends it."""
    speeds = Speeds(device_watts=45.0)
    with pytest.raises(RuntimeError), speeds.in_flight.answering(LOCAL):
        raise RuntimeError
    assert speeds.load(LOCAL) == 0
