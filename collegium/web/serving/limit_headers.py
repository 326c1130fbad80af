"""Rate limit headers for callers, under OpenAI's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from collegium.registry.budgets.counters import Level
from collegium.registry.budgets.limits import NANO, Limit
from collegium.web.serving.limits_in_force import span_of

LEFT_USD = "x-collegium-budget-remaining-usd"


def limit_headers(
    limits: Sequence[Limit], levels: Sequence[Level], now: datetime
) -> dict[str, str]:
    """Return the tightest limit of requests and of tokens, and the dollars left of all budgets.

    What requests in flight hold is not left.
    """
    found: dict[str, str] = {}
    left = [
        (max(limit.amount - level.used, 0), limit)
        for limit, level in zip(limits, levels, strict=False)
    ]
    for metric in ("requests", "tokens"):
        tightest = min((each for each in left if each[1].metric == metric), default=None, key=_left)
        if tightest is None:
            continue
        remaining, limit = tightest
        found[f"x-ratelimit-limit-{metric}"] = str(limit.amount)
        found[f"x-ratelimit-remaining-{metric}"] = str(remaining)
        _, ends = span_of(limit, now)
        if ends is not None:
            seconds = max(math.ceil((ends - now).total_seconds()), 0)
            found[f"x-ratelimit-reset-{metric}"] = f"{seconds}s"
    dollars = [remaining for remaining, limit in left if limit.metric == "usd"]
    if dollars:
        found[LEFT_USD] = f"{min(dollars) / NANO:.9f}"
    return found


def _left(each: tuple[int, Limit]) -> int:
    return each[0]
