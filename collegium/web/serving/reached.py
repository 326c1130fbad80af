"""Errors for limits that are reached: which limit, its usage, and when to retry."""

from __future__ import annotations

import math
from datetime import datetime

from collegium.errors import BudgetReached, LimitReached
from collegium.registry.budgets.counters import Level
from collegium.registry.budgets.limits import UNITS, Limit
from collegium.web.serving.limit_headers import limit_headers
from collegium.web.serving.limits_in_force import span_of

RATES = ("minute", "hour")
"""Windows of tokens that are rates; longer ones are budgets, as all windows of money are."""
WORDS = {"usd": "USD", "joules": "J", "parallel": "parallel requests"}
SOON_S = 1
"""Seconds after which reservations of other requests may have been released."""


def reached(
    limit: Limit, needed: int, level: Level, now: datetime, *, own: int = 0
) -> LimitReached:
    """The error for a request that needs so much more of a limit than its `own` part of what is
    held, which it gives back.

    `needed` is what it needs in addition. If it needs more than the whole limit, no waiting helps.
    """
    ends = span_of(limit, now)[1] if limit.window else None
    whole, others = own + needed, level.held - own
    if limit.metric == "requests":  # they count when they have ended, too
        others = 0
    spent = level.used - own - others
    in_flight = others > 0 and spent + whole <= limit.amount
    too_large = whole > limit.amount and limit.metric != "parallel"
    unit = WORDS.get(limit.metric, limit.metric)
    what = f"The {limit.scope} '{limit.name}' may use {_shown(limit, limit.amount)} {unit}"
    if limit.metric == "parallel":
        words = f"The {limit.scope} '{limit.name}' may have {limit.amount} requests in flight"
    elif too_large:
        words = f"{what} {_every(limit)}, and this request alone needs up to "
        words += f"{_shown(limit, whole)}: it is too large"
    elif in_flight:
        words = (
            f"{what} {_every(limit)}; requests in flight hold {_shown(limit, others)} of what "
            f"is left, and this one needs {_shown(limit, whole)}"
        )
    else:
        words = f"{what} {_every(limit)}: {_shown(limit, spent)} are used, this request needs "
        words += f"up to {_shown(limit, whole)}"
    if ends is not None and not (in_flight or too_large):
        words += f"; the next window begins at {ends:%Y-%m-%d %H:%M:%S} UTC"
    error: LimitReached = LimitReached(words) if in_flight or is_rate(limit) else _spent(words)
    if isinstance(error, BudgetReached) and limit.metric == "usd":
        error.left_usd = max(limit.amount - level.used, 0) / UNITS["usd"]
    error.headers = limit_headers([limit], [level], now)
    if in_flight:
        error.retry_after_s = SOON_S
    elif ends is not None and not too_large:
        error.retry_after_s = max(1, math.ceil((ends - now).total_seconds()))
    return error


def is_rate(limit: Limit) -> bool:
    """Whether it is a rate, and not a budget that can be spent."""
    kind = limit.metric
    return kind in ("requests", "parallel") or (kind == "tokens" and limit.window in RATES)


def _spent(words: str) -> BudgetReached:
    return BudgetReached(words)


def _every(limit: Limit) -> str:
    if limit.window == "total":
        return "in total"
    named = limit.window[0].isalpha()
    return f"in each {limit.window}" if named else f"every {limit.window[:-1]} s"


def _shown(limit: Limit, amount: int) -> str:
    return f"{amount / UNITS.get(limit.metric, 1):.9g}"
