"""What calls cost: the arithmetic of the vendors' own examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.experts.clients.usage import Tokens, tokens_of
from collegium.experts.further_prices import further_prices
from collegium.experts.pricing import dollars, price_of, total_usd
from collegium.registry.expert import Expert

HOSTED = Expert("hosted", "litellm", "hosted", input_price=1.0, output_price=2.0)
CLAUDE = replace(
    HOSTED,
    input_price=3.0,
    output_price=15.0,
    prices={"cached_input": 0.3, "cache_write": 3.75, "cache_write_1h": 6.0},
)
"""Sonnet: a cache is read for a tenth of the input's price, and written for 1.25 or twice it."""
GPT = replace(HOSTED, input_price=2.5, output_price=10.0, prices={"cached_input": 1.25})
"""GPT-4o: cached input at half the price."""
GEMINI = replace(
    HOSTED,
    input_price=1.25,
    output_price=10.0,
    prices={"cached_input": 0.125, "input_above_200k": 2.5, "output_above_200k": 15.0},
)


@pytest.mark.parametrize(
    ("expert", "usage", "usd"),
    [
        # 86 at $2.50, 1,920 at $1.25, 300 at $10
        (
            GPT,
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "prompt_tokens_details": {"cached_tokens": 1920},
            },
            0.005615,
        ),
        # reasoning and rejected predictions are tokens of the answer
        (
            GPT,
            {
                "prompt_tokens": 100,
                "completion_tokens": 1000,
                "completion_tokens_details": {
                    "reasoning_tokens": 900,
                    "rejected_prediction_tokens": 50,
                },
            },
            0.01025,
        ),
        # 50 at $3, 100,000 at $0.30, 248 at $3.75, 503 at $15
        (
            CLAUDE,
            {
                "input_tokens": 50,
                "cache_read_input_tokens": 100_000,
                "cache_creation_input_tokens": 248,
                "output_tokens": 503,
            },
            0.038625,
        ),
        # 1,000 kept for five minutes, 2,000 for an hour
        (
            CLAUDE,
            {
                "input_tokens": 0,
                "cache_creation_input_tokens": 3000,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 1000,
                    "ephemeral_1h_input_tokens": 2000,
                },
                "output_tokens": 0,
            },
            0.01575,
        ),
        # at the threshold, and above it: then all tokens cost more
        (GEMINI, {"prompt_tokens": 200_000, "completion_tokens": 1000}, 0.26),
        (GEMINI, {"prompt_tokens": 200_001, "completion_tokens": 1000}, 0.5150025),
        # thoughts that only the total tells of
        (
            GEMINI,
            {"prompt_tokens": 8, "completion_tokens": 10, "total_tokens": 118},
            0.00111,
        ),
    ],
)
def test_vendors_examples(expert: Expert, usage: dict[str, Any], usd: float) -> None:
    """To the last digit, with no binary fractions."""
    assert price_of(expert, tokens_of(usage)) == usd


@pytest.mark.parametrize(
    ("prices", "tokens", "usd"),
    [
        ({}, Tokens(1000, 1000, 500, 100, reasoning=500, audio_input=100), 0.003),
        ({"reasoning": 4.0}, Tokens(0, 1000, reasoning=500), 0.003),
        ({"audio_input": 10.0}, Tokens(1000, audio_input=100), 0.0019),
        ({"image_input": 10.0}, Tokens(1000, image_input=100), 0.0019),
        ({"audio_output": 20.0}, Tokens(0, 1000, audio_output=100), 0.0038),
        ({"image_output": 20.0}, Tokens(0, 1000, image_output=100), 0.0038),
        ({"request": 0.005}, Tokens(1000), 0.006),
        ({"cache_write": 2.0}, Tokens(1000, 0, 0, 1000, 500), 0.002),
        ({"input_above_1k": 9.0, "input_above_2k": 5.0}, Tokens(3000), 0.015),
        ({"input_above_999": 9.0}, Tokens(1000), 0.009),
    ],
)
def test_each_kind_has_its_price(prices: dict[str, float], tokens: Tokens, usd: float) -> None:
    """Or that of other tokens, where none is known."""
    assert price_of(replace(HOSTED, prices=prices), tokens) == usd


def test_a_service_tier_has_its_prices() -> None:
    """Where there are some; a tier that nobody knows has the usual ones."""
    prices = {"input_flex": 0.5, "input_above_1k": 3.0, "input_above_1k_priority": 7.0}
    expert = replace(HOSTED, prices=prices)
    assert price_of(expert, Tokens(1000), "flex") == 0.0005
    assert price_of(expert, Tokens(2000), "flex") == 0.006
    assert price_of(expert, Tokens(2000), "priority") == 0.014
    assert price_of(expert, Tokens(1000), "default") == 0.001


def test_an_unknown_price_is_not_free() -> None:
    """Unless nothing of that kind was read or written."""
    unknown = replace(HOSTED, output_price=None, prices={"cached_input": 0.1})
    assert price_of(unknown, Tokens(1000, 1)) is None
    assert price_of(unknown, Tokens(1000, 0)) == 0.001
    assert price_of(replace(unknown, input_price=None), Tokens(1000, 0, 1000)) == 0.0001
    assert total_usd([0.5, None]) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**5).map(lambda n: n / 1000))))
def test_sums_do_not_depend_on_their_order(parts: list[tuple[int, float | None]]) -> None:
    """So the header, the log and the sum of calls are one number."""
    whole = dollars(parts)
    assert whole == dollars(reversed(parts))
    each = [dollars([part]) for part in parts]
    assert total_usd(each) == pytest.approx(whole, abs=1e-12)
    assert total_usd(each) == total_usd(reversed(each))


@pytest.mark.parametrize(
    ("entry", "prices"),
    [
        (
            {
                "input_cost_per_token": 3e-06,
                "output_cost_per_token": 1.5e-05,
                "cache_read_input_token_cost": 3e-07,
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
                "output_cost_per_reasoning_token": 1.5e-05,
                "search_context_cost_per_query": {"search_context_size_low": 0.01},
            },
            {"cached_input": 0.3, "cache_write_1h_above_200k": 12.0},
        ),
        (
            {
                "litellm_provider": "xai",
                "input_cost_per_token": 3e-06,
                "input_cost_per_token_above_128k_tokens": 6e-06,
            },
            {"input_above_127999": 6.0},
        ),
        (
            {
                "tiered_pricing": [
                    {"range": [0, 32000.0], "input_cost_per_token": 1e-06},
                    {"range": [32000.0, 128000.0], "input_cost_per_token": 2e-06},
                ]
            },
            {"input_above_32000": 2.0},
        ),
        (
            {"litellm_provider": "fireworks_ai", "input_cost_per_token": 1e-06},
            {"cached_input": 0.5},
        ),
        (
            {
                "output_cost_per_token": 1e-06,
                "output_cost_per_reasoning_token": 2e-06,
                "output_cost_per_token_flex": 5e-07,
                "cache_read_input_token_cost": "free",
            },
            {"reasoning": 2.0, "reasoning_flex": 0.5, "output_flex": 0.5},
        ),
    ],
)
def test_the_lists_names_are_read(entry: dict[str, Any], prices: dict[str, float]) -> None:
    """As dollars per million tokens; what can't be told apart is left out."""
    assert further_prices(entry) == prices
