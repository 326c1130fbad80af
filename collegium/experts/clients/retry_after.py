"""How long an upstream asks clients to wait, from its headers or its message."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 3600.0
"""The longest pause without another attempt."""
EPOCH_S, EPOCH_MS = 1e9, 1e12
"""Larger numbers are timestamps, not durations."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)(?![a-z])")
_WORDS = re.compile(
    r"(?:try again|retry|wait)[a-z ]{0,20}(?:in|after|for)?\s*"
    r"((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?)(?![a-z])\s*)+)"
)
_DELAY = re.compile(r"\b(\d+(?:\.\d+)?)s\b")
_LONG = (("milliseconds?", "ms"), ("sec(?:onds?)?", "s"), ("min(?:utes?)?", "m"), ("hours?", "h"))


def retry_after_s(headers: Mapping[str, str], code: str, message: str) -> float | None:
    """Return the seconds until the upstream may be asked again; None if it doesn't say."""
    for found in (_of_headers(headers), _of_resets(headers), _of_text(code, message)):
        if found is not None:
            return min(max(found, 0.0), LONGEST_S)
    return None


def _of_headers(headers: Mapping[str, str]) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    return _moment(headers.get("retry-after", ""))


def _of_resets(headers: Mapping[str, str]) -> float | None:
    """When the exhausted limits reset; the earliest reset if none is known to be exhausted."""
    resets: dict[str, float] = {}
    for name, value in headers.items():
        limited = "ratelimit" in name.lower() and "reset" in name.lower()
        if limited and (left := _moment(value)) is not None:
            resets[name.lower()] = left
    spent = [s for name, s in resets.items() if _is_spent(headers, name)]
    return max(spent) if spent else min(resets.values(), default=None)


def _is_spent(headers: Mapping[str, str], reset: str) -> bool:
    return _number(headers.get(reset.replace("reset", "remaining"), "")) == 0


def _of_text(code: str, message: str) -> float | None:
    if "retryinfo" in code and (delay := _DELAY.search(code)):  # Google's
        return float(delay[1])
    words = _WORDS.search(message.lower())
    if words is None:
        return None
    text = words[1]
    for long, short in _LONG:
        text = re.sub(rf"{long}\b", short, text)
    return _span(text)


def _moment(value: str) -> float | None:
    """Seconds from now, of a number, a span such as `6m0s`, a date, or seconds since 1970."""
    text = value.strip()
    number = _number(text)
    if number is not None:
        if number > EPOCH_MS:
            number /= 1000
        return number - time.time() if number > EPOCH_S else number
    return _span(text) if _SPAN.match(text) else _date(text)


def _date(text: str) -> float | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text)
        except (ValueError, TypeError, IndexError):
            continue
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.timestamp() - time.time()
    return None


def _span(text: str) -> float | None:
    found = _SPAN.findall(text)
    return sum(float(n) * _UNITS[unit] for n, unit in found) if found else None


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
