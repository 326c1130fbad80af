"""Counting tokens without a tokenizer: near enough, and low for no script."""

from __future__ import annotations

import pytest

from collegium.experts.clients.counting import (
    IMAGE_TOKENS,
    PER_MESSAGE,
    estimated_tokens,
    prompt_tokens,
)

COUNTED = {
    "What are the names of some famous actors that started their careers on Broadway?": 15,
    "[0.8444218515250481, 0.7579544029403025, 0.420571580830845]": 59,
    "これは日本語の文章です。トークンの数を数えるために使います。": 44,
    "이것은 한국어 문장입니다. 토큰 수를 세기 위해 사용합니다.": 64,
    "Это предложение на русском языке.": 26,
    'def area(a: float, b: float) -> float:\n    """Of a rectangle."""\n    return a * b\n': 26,
    '{"type": "object", "properties": {"city": {"type": "string"}}}': 20,
    "2026-11-29T04:12:16.123Z INFO GET /v1/chat/completions 200 12.4ms": 46,
}
"""Texts, and what the tokenizer of SmolLM2-135M counts."""


@pytest.mark.parametrize(("text", "tokens"), COUNTED.items())
def test_the_estimate_is_near_a_tokenizer_s_count(text: str, tokens: int) -> None:
    """Never much below: limits on cost rely on it."""
    assert 0.8 * tokens <= estimated_tokens(text) <= 2 * tokens


def test_nothing_is_a_token_too() -> None:
    """Zero tokens would be a free prompt; what is no valid text is counted as well."""
    assert estimated_tokens("") == 1
    assert estimated_tokens("\ud800") > 0


def test_all_that_an_expert_reads_is_counted() -> None:
    """Tools, a schema, calls of tools and pictures, not the texts of messages alone."""
    text = {"role": "user", "content": "What is the weather in Paris?"}
    plain = prompt_tokens({"messages": [text]})
    assert plain == PER_MESSAGE + estimated_tokens("What is the weather in Paris?")
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"city": "string"}}}
    schema = {"type": "json_schema", "json_schema": {"name": "answer"}}
    assert prompt_tokens({"messages": [text], "tools": [tool]}) > plain + 15
    assert prompt_tokens({"messages": [text], "response_format": schema}) > plain + 10
    called = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "w"}}]}
    assert prompt_tokens({"messages": [text, called]}) > plain + PER_MESSAGE
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    seen = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}
    assert prompt_tokens({"messages": [seen]}) > IMAGE_TOKENS
