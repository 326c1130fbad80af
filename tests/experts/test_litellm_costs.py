"""The same usage costs what LiteLLM's own `completion_cost` says."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from collegium.experts.clients.usage import tokens_of
from collegium.experts.prices import listed
from collegium.experts.pricing import price_of
from collegium.registry.expert import Expert

MODELS = (
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-5",
    "gpt-5-mini",
    "o3",
    "o4-mini",
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-opus-4-5",
    "anthropic/claude-haiku-4-5",
    "gemini/gemini-2.5-pro",
    "gemini/gemini-2.5-flash",
    "deepseek/deepseek-chat",
    "deepseek/deepseek-reasoner",
    "mistral/mistral-large-latest",
    "fireworks_ai/accounts/fireworks/models/deepseek-r1",
    "dashscope/qwen-flash",
    "dashscope/qwen3-coder-plus",
)


def cached(tokens: int) -> dict[str, Any]:
    return {"prompt_tokens_details": {"cached_tokens": tokens}}


def thought(tokens: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


def stored(read: int, five: int, hour: int) -> dict[str, Any]:
    """Anthropic's cache as LiteLLM tells of it."""
    lifetimes = {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}
    details = {
        "cached_tokens": read,
        "cache_creation_tokens": five + hour,
        "cache_creation_token_details": lifetimes,
    }
    return {
        "prompt_tokens_details": details,
        "cache_creation_input_tokens": five + hour,
        "cache_read_input_tokens": read,
    }


USAGES: tuple[tuple[int, int, dict[str, Any]], ...] = (
    (1, 1, {}),
    (1000, 500, {}),
    (123_457, 8_191, {}),
    (200_000, 1000, {}),
    (200_001, 1000, {}),
    (256_001, 1000, {}),
    (300_000, 500, cached(100_000)),
    (3000, 500, cached(2048)),
    (3000, 500, cached(2048) | thought(300)),
    (3000, 500, thought(500)),
    (3000, 0, cached(3000)),
    (5000, 50, stored(1000, 3000, 0)),
    (5000, 50, stored(1000, 1000, 2000)),
    (5000, 50, stored(0, 0, 5000)),
    (250_000, 50, stored(100_000, 100_000, 50_000)),
    (110, 40, {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 46}),
    (2000, 800, {"prompt_tokens_details": {"audio_tokens": 700, "image_tokens": 200}}),
    (2000, 800, {"prompt_tokens_details": {"audio_tokens": 700, "cached_tokens": 1800}}),
    (2000, 800, {"completion_tokens_details": {"audio_tokens": 300, "text_tokens": 500}}),
    (2000, 800, {"completion_tokens_details": {"image_tokens": 700}}),
    (2000, 800, {"completion_tokens_details": {"rejected_prediction_tokens": 90}}),
)


@pytest.fixture(scope="module")
def litellm() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    return pytest.importorskip("litellm")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_litellm_says_the_same(litellm: Any, model: str) -> None:
    """Of each usage, on each service tier, as LiteLLM passes it on."""
    entry = listed(Expert("hosted", "litellm", model))
    assert entry is not None
    expert = Expert("hosted", "litellm", model, input_price=entry.input_price)
    expert = replace(expert, output_price=entry.output_price, prices=entry.prices)
    for prompt, completion, details in USAGES:
        total = prompt + completion
        usage = litellm.Usage(prompt, completion, total, **details)
        # LiteLLM forgets that audio has a price of its own on a tier.
        for tier in (None,) if "audio_tokens" in str(details) else (None, "flex", "priority"):
            told = litellm.ModelResponse(model=model, usage=usage)
            theirs = litellm.completion_cost(
                completion_response=told, model=model, service_tier=tier
            )
            ours = price_of(expert, tokens_of(told.usage.model_dump(exclude_none=True)), tier)
            assert ours == pytest.approx(theirs, rel=0, abs=1e-9), (prompt, details, tier)
