"""The cost of one call, from its tokens and the expert's prices."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import fsum

from collegium.experts.clients.usage import Tokens
from collegium.registry.expert import Expert
from collegium.registry.prices import FASTER, NAME, REQUEST, SERVICE_TIERS

DIGITS = 15
"""Decimal places of dollar sums: a multiple of a token's price, so sums show no binary fractions.
"""


def price_of(expert: Expert, tokens: Tokens, service_tier: str | None = None) -> float | None:
    """Return the dollars of a call; None if a relevant price is unknown.

    Above a number of input tokens all tokens of the call may have other prices. What has no price
    of its own costs what other tokens of the input or the output cost.
    """
    if not expert.prices:
        return dollars(((tokens.input, expert.input_price), (tokens.output, expert.output_price)))
    rates = _Rates(expert, tokens.input, service_tier)
    return dollars((*_read(rates, tokens), *_written(rates, tokens)), rates.request)


def tier_is_priced(expert: Expert, service_tier: str | None) -> bool:
    """Whether the expert's prices say what a call on this service tier costs at most.

    A tier without prices of its own has the usual ones, which are too low for the faster one.
    """
    if service_tier != FASTER or not (expert.input_price or expert.output_price or expert.prices):
        return True
    return any(name.endswith(f"_{FASTER}") for name in expert.prices)


def answered_usd(expert: Expert, tokens: Tokens, service_tier: str | None) -> float | None:
    """Return the dollars of a call that was answered on this service tier; None if a price is
    unknown.
    """
    known = tier_is_priced(expert, service_tier)
    return price_of(expert, tokens, service_tier) if known else None


def dollars(parts: Iterable[tuple[int, float | None]], request: float = 0.0) -> float | None:
    """Return the sum of tokens times dollars per million; None if a relevant price is unknown."""
    costs = [request * 1_000_000]
    for tokens, price in parts:
        if tokens:
            if price is None:
                return None
            costs.append(tokens * price)
    return round(fsum(costs) / 1_000_000, DIGITS)


def plainly_priced(expert: Expert, read: int) -> bool:
    """Whether a call that reads so much text costs what its input and output cost, and no more."""
    prices = expert.prices
    return REQUEST not in prices and not any(read > above for above, _ in thresholds(tuple(prices)))


def total_usd(costs: Iterable[float | None]) -> float | None:
    """Return the sum; None if one term is unknown."""
    known: list[float] = []
    for cost in costs:
        if cost is None:
            return None
        known.append(cost)
    return round(fsum(known), DIGITS)


Parts = tuple[tuple[int, float | None], ...]


def _read(rates: _Rates, tokens: Tokens) -> Parts:
    """Input: what is in the cache, or goes there, has no other kind."""
    left = max(tokens.input - tokens.cached - tokens.cache_write, 0)
    audio = min(tokens.audio_input, left)
    image = min(tokens.image_input, left - audio)
    return (
        (left - audio - image, rates.of("input")),
        (tokens.cached, rates.of("cached_input", "input")),
        (tokens.cache_write - tokens.cache_write_1h, rates.of("cache_write", "input")),
        (tokens.cache_write_1h, rates.of("cache_write_1h", "cache_write", "input")),
        (audio, rates.of("audio_input", "input")),
        (image, rates.of("image_input", "input")),
    )


def _written(rates: _Rates, tokens: Tokens) -> Parts:
    reasoning = min(tokens.reasoning, tokens.output)
    audio = min(tokens.audio_output, tokens.output - reasoning)
    image = min(tokens.image_output, tokens.output - reasoning - audio)
    return (
        (tokens.output - reasoning - audio - image, rates.of("output")),
        (reasoning, rates.of("reasoning", "output")),
        (audio, rates.of("audio_output", "output")),
        (image, rates.of("image_output", "output")),
    )


class _Rates:
    """An expert's prices for one call, at the call's number of input tokens."""

    def __init__(self, expert: Expert, read: int, service_tier: str | None) -> None:
        self._prices = {
            **expert.prices,
            "input": expert.input_price,
            "output": expert.output_price,
        }
        self._endings = _endings(tuple(expert.prices), read, service_tier)
        self.request = expert.prices.get(REQUEST, 0.0)

    def of(self, *kinds: str) -> float | None:
        """The price of the first of these kinds that has one."""
        for kind in kinds:
            for ending in self._endings:
                price = self._prices.get(kind + ending)
                if price is not None:
                    return price
        return None


def _endings(names: tuple[str, ...], read: int, service_tier: str | None) -> list[str]:
    """Return the suffixes of price names that apply, in order of precedence."""
    tier = f"_{service_tier}" if service_tier in SERVICE_TIERS else ""
    endings = [ending for above, ending in thresholds(names) if read > above]
    plain = [*endings, ""]
    return [each for ending in plain for each in ((ending + tier, ending) if tier else (ending,))]


@lru_cache(maxsize=1024)
def thresholds(names: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """Return the token thresholds in names of prices, highest first."""
    found: dict[int, str] = {}
    for name in names:
        match = NAME.fullmatch(name)
        if match is not None and match["above"]:
            above = int(match["above"]) * (1000 if match["thousand"] else 1)
            found[above] = f"_above_{match['above']}{match['thousand']}"
    return tuple(sorted(found.items(), reverse=True))
