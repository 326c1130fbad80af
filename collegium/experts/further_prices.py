"""Read prices other than those of input and output from LiteLLM's price list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from collegium.registry.prices import KINDS, REQUEST, SERVICE_TIERS

FIELDS = MappingProxyType({
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost": "cache_write",
    "cache_read_input_token_cost": "cached_input",
    "input_cost_per_audio_token": "audio_input",
    "input_cost_per_image_token": "image_input",
    "input_cost_per_token": "input",
    "output_cost_per_audio_token": "audio_output",
    "output_cost_per_image_token": "image_output",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_token": "output",
})  # fmt: skip
"""Kinds of tokens by the list's names."""
FIELD = re.compile(
    rf"({'|'.join(FIELDS)})(?:_above_(\d+k?)_tokens)?(_(?:{'|'.join(SERVICE_TIERS)}))?"
)
AT_THE_THRESHOLD = "xai"
"""The provider whose higher prices apply from the threshold on, rather than above it."""
HALF_PRICE_CACHED = "fireworks_ai"
"""The provider that charges half for cached input unless the list says otherwise."""
PER_MILLION = 1_000_000


def per_million(price: Any) -> float | None:
    """Dollars per million tokens; None if the list has no number."""
    if isinstance(price, bool) or not isinstance(price, int | float):
        return None
    return round(price * PER_MILLION, 9)


def base_prices(entry: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the prices of input and output; those of the first tier if there are only tiers."""
    first = (_tiers(entry) or [{}])[0]
    found = []
    for name in ("input_cost_per_token", "output_cost_per_token"):
        listed = entry.get(name)
        found.append(per_million(first.get(name) if listed is None else listed))
    return found[0], found[1]


def further_prices(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return all further prices that the service distinguishes, by our names."""
    prices: dict[str, float] = {}
    for field, value in entry.items():
        price, match = per_million(value), FIELD.fullmatch(field)
        if price is not None and match is not None:
            prices[_name(entry, *match.groups())] = price
    prices |= _of_tiers(entry)
    if (request := entry.get("input_cost_per_request")) is not None:
        prices[REQUEST] = float(request)
    if entry.get("litellm_provider") == HALF_PRICE_CACHED and prices.get("input") is not None:
        prices.setdefault("cached_input", prices["input"] / 2)
    return _without_needless(prices)


def _name(entry: Mapping[str, Any], field: str, above: str | None, tier: str | None) -> str:
    if above is not None and entry.get("litellm_provider") == AT_THE_THRESHOLD:
        above = str(int(above.rstrip("k")) * (1000 if above.endswith("k") else 1) - 1)
    return f"{FIELDS[field]}{'' if above is None else f'_above_{above}'}{tier or ''}"


def _of_tiers(entry: Mapping[str, Any]) -> dict[str, float]:
    """Convert tiers, of which one applies to a whole call, to prices above numbers of tokens."""
    tiers = _tiers(entry)
    found: dict[str, float] = {}
    for number, tier in enumerate(tiers):
        ending = f"_above_{int(tier['range'][0])}" if number else ""
        for field, kind in FIELDS.items():
            instead = "input_cost_per_token" if kind in KINDS[:3] else "output_cost_per_token"
            price = per_million(tier.get(field, tier.get(instead)))
            if price is not None and any(field in each for each in tiers):
                found[kind + ending] = price
    return found


def _tiers(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tiers = entry.get("tiered_pricing")
    found = [t for t in tiers if len(t.get("range", ())) == 2] if isinstance(tiers, list) else []
    return sorted(found, key=lambda tier: float(tier["range"][0]))


def _without_needless(prices: dict[str, float]) -> dict[str, float]:
    """Without the base prices, and a price of reasoning that is the one of output."""
    if prices.get("reasoning") == prices.get("output"):
        prices.pop("reasoning", None)
    elif "reasoning" in prices:  # a tier's price of output holds for thoughts as well
        for tier in SERVICE_TIERS:
            if f"output_{tier}" in prices:
                prices.setdefault(f"reasoning_{tier}", prices[f"output_{tier}"])
    return {n: price for n, price in prices.items() if n not in ("input", "output")}
