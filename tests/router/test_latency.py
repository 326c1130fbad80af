"""The latency model: it finds the numbers that made the answers, and bends to no outlier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collegium.router.latency import (
    Array,
    LatencyModel,
    Timing,
    fit_latency,
    loads,
)

TRUE = LatencyModel(
    start=250.0, per_prompt_token=0.4, per_waiting=80.0, per_token=12.0, per_loaded_token=3.0
)


def answers(
    count: int, *, noise: float = 0.0, streamed: bool = False, seed: int = 0
) -> list[Timing]:
    """Answers of an expert whose true numbers are `TRUE`, with relative noise."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        prompt, output = float(rng.integers(20, 1500)), float(rng.integers(5, 300))
        load = float(rng.integers(0, 8))
        off = float(np.exp(noise * rng.normal()))
        ttft = TRUE.ttft_ms(prompt, load) * off
        whole = TRUE.latency_ms(prompt, output, load) * off
        found.append(Timing(prompt, output, whole, ttft if streamed else None, load))
    return found


def numbers(model: LatencyModel) -> list[float]:
    """The five of them."""
    return [model.start, model.per_prompt_token, model.per_waiting, model.per_token,
            model.per_loaded_token]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
def test_it_finds_the_numbers_that_made_the_answers(streamed: bool) -> None:
    """Without noise, whether or not the first token was seen."""
    assert numbers(fit_latency(answers(60, streamed=streamed))) == pytest.approx(
        numbers(TRUE), rel=0.01
    )


def median_percentage_error(forecast: Array, actual: Array) -> float:
    """The median of |forecast - actual| / actual, in percent."""
    return float(100 * np.median(np.abs(forecast - actual) / actual))


def test_it_forecasts_under_noise() -> None:
    """On new answers, about as well as the numbers that made them."""
    model, new = fit_latency(answers(400, noise=0.1)), answers(400, noise=0.1, seed=1)
    actual = np.array([t.latency_ms for t in new])
    forecast = np.array([model.latency_ms(t.prompt_tokens, t.output_tokens, t.load) for t in new])
    best = np.array([TRUE.latency_ms(t.prompt_tokens, t.output_tokens, t.load) for t in new])
    assert median_percentage_error(forecast, actual) < 1.1 * median_percentage_error(best, actual)


def test_answers_that_hang_move_it_little() -> None:
    """One in ten takes twenty times as long."""
    seen = answers(200, noise=0.05)
    hanging = [
        Timing(t.prompt_tokens, t.output_tokens, 20 * t.latency_ms, None, t.load)
        for t in seen[::10]
    ]
    plain, shaken = fit_latency(seen), fit_latency([*seen, *hanging])
    assert shaken.latency_ms(500, 100, 2) == pytest.approx(plain.latency_ms(500, 100, 2), rel=0.05)


def test_load_slows_the_first_token_and_every_other() -> None:
    """As many as are served beside it."""
    model = fit_latency(answers(80))
    assert model.ttft_ms(100, 5) - model.ttft_ms(100, 0) == pytest.approx(400, rel=0.01)
    assert model.tpot_ms(5) - model.tpot_ms(0) == pytest.approx(15, rel=0.01)


def test_answers_that_are_all_as_long_are_extended_in_proportion() -> None:
    """They can't tell the start from the tokens: ten times the tokens must not come for free."""
    model = fit_latency([Timing(50, 20, 600.0) for _ in range(10)])
    assert model.latency_ms(50, 20) == pytest.approx(600, rel=0.01)
    assert model.latency_ms(50, 80) == pytest.approx(2400, rel=0.05)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**4), st.integers(1, 4000), st.floats(0.1, 1e6)),
        min_size=1,
        max_size=12,
    )
)
def test_no_forecast_is_negative_or_shrinks_with_the_work(
    seen: list[tuple[int, int, float]],
) -> None:
    """Whatever was seen: more tokens or more load never take less time."""
    model = fit_latency([Timing(*row) for row in seen])
    assert min(numbers(model)) >= 0
    assert np.isfinite(numbers(model)).all()
    small = model.latency_ms(10, 10, 0)
    assert 0 <= small <= model.latency_ms(20, 10, 0) <= model.latency_ms(20, 20, 3)


def test_the_load_is_who_had_begun_and_not_ended() -> None:
    """Counted by hand: the third begins while the first two run, the fourth when all are gone."""
    started, finished = np.array([0.0, 1.0, 2.0, 9.0]), np.array([5.0, 3.0, 4.0, 10.0])
    assert loads(started, finished).tolist() == [0.0, 1.0, 2.0, 0.0]
