"""Prices of an expert besides those of input and output."""

from __future__ import annotations

import re
from collections.abc import Mapping

KINDS = (
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "image_input",
    "audio_input",
    "image_output",
    "audio_output",
)
"""Kinds of tokens that may have a price of their own; by default they cost what input or output
does.
"""
REQUEST = "request"
"""Dollars for each call, whatever it reads and writes."""
TIERED = ("input", "output", *KINDS)
"""Prices that may differ above a number of input tokens, or by the provider's service tier."""
FASTER = "priority"
"""The service tier that costs more than the usual one."""
SERVICE_TIERS = ("flex", FASTER)
NAME = re.compile(
    rf"(?P<kind>{'|'.join(TIERED)})(_above_(?P<above>\d{{1,7}})(?P<thousand>k?))?"
    rf"(_(?P<tier>{'|'.join(SERVICE_TIERS)}))?"
)
MOST_PRICES = 100
EXAMPLES = "cached_input, cache_write, reasoning, audio_input, request or input_above_200k"


def problem_of(prices: Mapping[str, float], most: float) -> str:
    """Return why prices are invalid, or an empty string."""
    for name, price in prices.items():
        if name in ("input", "output"):
            return f"the price of {name} is {name}_price"
        if name != REQUEST and NAME.fullmatch(name) is None:
            return f"there is no price '{name[:100]}': it is such as {EXAMPLES}"
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price <= most:
            return f"the price {name} is a number of dollars from 0 to {most:g}"
    return f"there are at most {MOST_PRICES} prices" if len(prices) > MOST_PRICES else ""


def changed(
    prices: Mapping[str, float], changes: Mapping[str, float | None] | None
) -> dict[str, float]:
    """Prices with changes: None forgets one of them, or all."""
    if changes is None:
        return {}
    return {name: price for name, price in {**prices, **changes}.items() if price is not None}
