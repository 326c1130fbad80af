"""Learn from reported usage how much of a conversation experts keep in their prompt caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collegium.experts.clients.usage import CACHED, OF_INPUT, tokens_of
from collegium.registry.expert import Expert

SHARE_AT_FIRST = 0.5
"""The share of earlier tokens assumed to be cached before anything is known of an expert."""
MEMORY = 0.3
"""Weight of the newest answer in an expert's share."""
USUAL_DISCOUNT = 0.5
"""The price of a cached token relative to an uncached one, if the expert's is unknown."""
USD_OF_READING = 1.0
"""The minimum value of reading a million tokens again: time, if not money."""
MOST_EXPERTS = 10_000


class PromptCaches:
    """The share of an earlier prompt that each expert finds in its cache, by name."""

    def __init__(self) -> None:
        self._shares: dict[str, float] = {}

    def share(self, expert: str) -> float:
        """The share to expect, from 0 to 1."""
        return self._shares.get(expert, SHARE_AT_FIRST)

    def learn(self, expert: str, known: int, cached: int | None) -> None:
        """Learn from an answer: `known` prompt tokens were read before, `cached` of them came from
        the cache; None if unreported.
        """
        if cached is None or known <= 0:
            return
        if expert not in self._shares and len(self._shares) >= MOST_EXPERTS:
            self._shares.pop(next(iter(self._shares)))
        seen = min(cached / known, 1.0)
        before = self._shares.get(expert)
        self._shares[expert] = seen if before is None else before + MEMORY * (seen - before)


def cached_tokens(usage: Mapping[str, Any] | None) -> int | None:
    """Return the prompt tokens that came from a cache; None if the usage doesn't say."""
    if usage is None:
        return None
    if cached := tokens_of(usage).cached:
        return cached
    details = (usage.get(name) for name in OF_INPUT)
    places = [usage, *(each for each in details if isinstance(each, Mapping))]
    return 0 if any(_is_zero(place.get(name)) for place in places for name in CACHED) else None


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and value == 0


def saved_usd(expert: Expert, tokens: int) -> float:
    """Return the dollars saved by cached tokens at an expert's price; 0 if it is unknown."""
    if not tokens:  # every first request
        return 0.0
    price = expert.input_price or 0.0
    cached = expert.prices.get("cached_input", USUAL_DISCOUNT * price)
    return tokens * max(price - cached, 0.0) / 1_000_000


def worth_usd(expert: Expert, tokens: int) -> float:
    """Return the value lost if another expert has to read the cached tokens again."""
    return max(saved_usd(expert, tokens), tokens * USD_OF_READING / 1_000_000)
