"""The tokens of one call, whichever way the vendor counts them.

- OpenAI, vLLM and most others count cached tokens among those of the prompt, and reasoning among
  those of the answer, as rejected predictions are.
- Anthropic's own API counts what it reads from its cache and writes to it beside `input_tokens`;
  LiteLLM adds all three up to `prompt_tokens`.
- DeepSeek tells `prompt_cache_hit_tokens`; Moonshot a `cached_tokens` of its own.
- Google and xAI count thoughts beside the answer: they show in the total alone, or in its details.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from msgspec import Struct

MOST_TOKENS = 100_000_000
"""A hundred times the longest context window: larger counts are errors."""
INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount")
OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount")
TOTAL = ("total_tokens", "totalTokenCount")
OF_INPUT = ("prompt_tokens_details", "input_tokens_details")
OF_OUTPUT = ("completion_tokens_details", "output_tokens_details")
CACHED = (
    "cached_tokens",
    "cache_read_input_tokens",
    "prompt_cache_hit_tokens",
    "cachedContentTokenCount",
)
WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
BY_LIFETIME = ("cache_creation_token_details", "cache_creation")
REASONING = ("reasoning_tokens", "thinking_tokens", "thoughtsTokenCount")
BESIDE_INPUT = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
"""Anthropic's names: without `prompt_tokens` they say that `input_tokens` leaves the cache out."""


class Tokens(Struct, frozen=True):
    """Tokens of one call. Those of a kind are among `input` or `output`, never beside them."""

    input: int = 0
    output: int = 0
    cached: int = 0
    """Read from the provider's cache."""
    cache_write: int = 0
    """Written to it, for any time."""
    cache_write_1h: int = 0
    """Of these, tokens cached for one hour."""
    reasoning: int = 0
    audio_input: int = 0
    image_input: int = 0
    audio_output: int = 0
    image_output: int = 0

    def kinds(self) -> Iterator[tuple[str, int]]:
        """The kinds that have a price of their own, and how many tokens of each there are."""
        for name in OWN_PRICE:
            if count := getattr(self, name):
                yield name, count

    def usage(self) -> dict[str, Any]:
        """Usage in OpenAI's format."""
        told: dict[str, Any] = {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
        }
        if self.cached or self.cache_write:
            written = {"cache_write_tokens": self.cache_write} if self.cache_write else {}
            told["prompt_tokens_details"] = {"cached_tokens": self.cached, **written}
        if self.reasoning:
            told["completion_tokens_details"] = {"reasoning_tokens": self.reasoning}
        return told


OWN_PRICE = (
    "cached",
    "cache_write",
    "reasoning",
    "audio_input",
    "image_input",
    "audio_output",
    "image_output",
)


def tokens_of(usage: Mapping[str, Any]) -> Tokens:
    """Return the tokens of a usage object; invalid values are ignored."""
    read, written = _details(usage, OF_INPUT), _details(usage, OF_OUTPUT)
    cached = _first(read, CACHED) or _first(usage, CACHED)
    lifetimes = _details(read, BY_LIFETIME) or _details(usage, BY_LIFETIME)
    for_an_hour = _first(lifetimes, ("ephemeral_1h_input_tokens",))
    stored = _first(read, WRITTEN) or _first(usage, WRITTEN)
    stored = stored or for_an_hour + _first(lifetimes, ("ephemeral_5m_input_tokens",))
    prompt = _first(usage, INPUT) + _first(usage, ("toolUsePromptTokenCount",))
    beside = any(name in usage for name in BESIDE_INPUT)
    if beside and ("prompt_tokens" not in usage or cached + stored > prompt):
        prompt += cached + stored
    cached = min(cached, prompt)
    stored = min(stored, prompt - cached)
    answer, reasoning = _output(usage, written, prompt)
    return Tokens(
        prompt,
        answer,
        cached,
        stored,
        min(for_an_hour, stored),
        reasoning,
        _first(read, ("audio_tokens",)),
        _first(read, ("image_tokens",)),
        _first(written, ("audio_tokens",)),
        _first(written, ("image_tokens",)),
    )


def _output(usage: Mapping[str, Any], details: Mapping[str, Any], prompt: int) -> tuple[int, int]:
    """Return all output tokens, and how many of them are reasoning."""
    answer = _first(usage, OUTPUT)
    reasoning = _first(details, REASONING) or _first(usage, REASONING)
    total = _first(usage, TOTAL)
    hidden = max(total - prompt - answer, 0) if answer or reasoning else 0
    if reasoning in (0, hidden):  # the total alone tells of it
        return answer + hidden, hidden
    if reasoning > answer and not total:  # it can't be among them
        answer += reasoning
    return answer, min(reasoning, answer)


def _details(usage: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    for name in names:
        found = usage.get(name)
        if isinstance(found, Mapping):
            return found
    return {}


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Return the first positive count under one of these names, rounded up; 0 if there is none."""
    if not usage:  # most answers have no details
        return 0
    for name in names:
        value = usage.get(name)
        if (
            value is not None
            and isinstance(value, int | float)
            and value is not True
            and 0 < value <= MOST_TOKENS
        ):
            return ceil(value)
    return 0
