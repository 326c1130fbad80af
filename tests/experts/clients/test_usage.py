"""Usage in every vendor's shape comes down to the same tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.experts.clients.events import Usage
from collegium.experts.clients.openai_shape import usage_of
from collegium.experts.clients.usage import Tokens, tokens_of

SHAPES: dict[str, tuple[dict[str, Any], Tokens]] = {
    "nothing but counts": (
        {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        Tokens(7, 2),
    ),
    "OpenAI": (
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 256,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 10,
                "rejected_prediction_tokens": 20,
            },
        },
        Tokens(2006, 300, cached=1920, reasoning=256),
    ),
    "OpenAI with audio": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 90,
            "prompt_tokens_details": {"audio_tokens": 60, "image_tokens": 8},
            "completion_tokens_details": {"audio_tokens": 70},
        },
        Tokens(100, 90, audio_input=60, image_input=8, audio_output=70),
    ),
    "OpenAI's Responses": (
        {
            "input_tokens": 36,
            "input_tokens_details": {"cached_tokens": 30},
            "output_tokens": 87,
            "output_tokens_details": {"reasoning_tokens": 80},
            "total_tokens": 123,
        },
        Tokens(36, 87, cached=30, reasoning=80),
    ),
    "Anthropic": (
        {
            "input_tokens": 50,
            "cache_read_input_tokens": 100_000,
            "cache_creation_input_tokens": 248,
            "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 503,
            "output_tokens_details": {"thinking_tokens": 400},
        },
        Tokens(100_298, 503, cached=100_000, cache_write=248, cache_write_1h=100, reasoning=400),
    ),
    "Anthropic's lifetimes alone": (
        {
            "input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "output_tokens": 1,
        },
        Tokens(35, 1, cache_write=30, cache_write_1h=20),
    ),
    "Anthropic through LiteLLM": (
        {
            "prompt_tokens": 5000,
            "completion_tokens": 50,
            "total_tokens": 5050,
            "prompt_tokens_details": {
                "cached_tokens": 1000,
                "cache_creation_tokens": 3000,
                "text_tokens": 1000,
                "cache_creation_token_details": {"ephemeral_1h_input_tokens": 2000},
            },
            "cache_creation_input_tokens": 3000,
            "cache_read_input_tokens": 1000,
        },
        Tokens(5000, 50, cached=1000, cache_write=3000, cache_write_1h=2000),
    ),
    "a proxy that leaves the cache out of the prompt": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "cache_read_input_tokens": 900,
            "cache_creation_input_tokens": 0,
        },
        Tokens(910, 5, cached=900),
    ),
    "OpenRouter": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 70},
            "cost": 0.01,
        },
        Tokens(100, 5, cached=20, cache_write=70),
    ),
    "DeepSeek": (
        {
            "prompt_tokens": 110,
            "completion_tokens": 40,
            "total_tokens": 150,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 46,
        },
        Tokens(110, 40, cached=64),
    ),
    "Moonshot": (
        {"prompt_tokens": 110, "completion_tokens": 40, "cached_tokens": 100},
        Tokens(110, 40, cached=100),
    ),
    "Gemini as OpenAI": (
        {"prompt_tokens": 8, "completion_tokens": 10, "total_tokens": 118},
        Tokens(8, 110, reasoning=100),
    ),
    "Gemini": (
        {
            "promptTokenCount": 900,
            "cachedContentTokenCount": 800,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 100,
            "totalTokenCount": 1010,
        },
        Tokens(900, 110, cached=800, reasoning=100),
    ),
    "xAI": (
        {
            "prompt_tokens": 30,
            "completion_tokens": 9,
            "total_tokens": 239,
            "completion_tokens_details": {"reasoning_tokens": 200},
        },
        Tokens(30, 209, reasoning=200),
    ),
    "thoughts that can't be among the answer": (
        {
            "prompt_tokens": 30,
            "completion_tokens": 9,
            "completion_tokens_details": {"reasoning_tokens": 200},
        },
        Tokens(30, 209, reasoning=200),
    ),
    "vLLM": (
        {
            "prompt_tokens": 30,
            "total_tokens": 39,
            "completion_tokens": 9,
            "prompt_tokens_details": None,
        },
        Tokens(30, 9),
    ),
}


@pytest.mark.parametrize("vendor", SHAPES)
def test_the_tokens_are_those_that_the_vendor_bills(vendor: str) -> None:
    """Each once, and of each kind."""
    told, tokens = SHAPES[vendor]
    assert tokens_of(told) == tokens
    kept = usage_of(told)
    assert kept is not None
    assert kept.tokens == tokens


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens": "7", "completion_tokens": None},
        {"prompt_tokens": True, "completion_tokens": [2]},
        {"prompt_tokens": -7, "completion_tokens": float("nan")},
        {"prompt_tokens": 10**30, "completion_tokens": float("inf")},
        {"prompt_tokens_details": 5, "completion_tokens_details": "x"},
    ],
)
def test_what_is_no_count_counts_for_nothing(told: dict[str, Any]) -> None:
    """Whatever its type is."""
    assert tokens_of(told) == Tokens()


def test_parts_of_tokens_are_rounded_up() -> None:
    """Nobody has a part of one, and none is billed for nothing."""
    told = {"prompt_tokens": 7.2, "completion_tokens": 0.5}
    assert tokens_of(told) == Tokens(8, 1)


def test_more_in_the_cache_than_was_read_is_not_believed() -> None:
    """A mistake of the upstream's costs nobody money."""
    told = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 90}}
    assert tokens_of(told) == Tokens(10, cached=10)


NAMES = sorted({name for told, _ in SHAPES.values() for name in told})
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
COUNTS = st.integers(-5, 10**6)
DETAILS = st.dictionaries(st.sampled_from([*NAMES, "audio_tokens", "reasoning_tokens"]), COUNTS)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING | COUNTS | DETAILS))
def test_no_usage_breaks_anything(told: dict[str, Any]) -> None:
    """Kinds are parts: never more than the whole, and never below 0."""
    tokens = Usage(told).tokens
    assert 0 <= tokens.cached + tokens.cache_write <= tokens.input
    assert 0 <= tokens.cache_write_1h <= tokens.cache_write
    assert 0 <= tokens.reasoning <= tokens.output


def test_tokens_are_told_in_openais_shape() -> None:
    """With the details that there are."""
    assert Tokens(7, 2).usage() == {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "total_tokens": 9,
    }
    for tokens in (Tokens(100, 5, cached=20, cache_write=70), Tokens(9, 8, reasoning=7)):
        assert tokens_of(tokens.usage()) == tokens
