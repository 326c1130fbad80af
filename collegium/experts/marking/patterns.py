"""Checks whether an answer matches a regular expression, within a time limit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collegium.experts.marking.base import accepted, text_of

LONGEST_PATTERN = 2_000
TIMEOUT_S = 0.5
MOST_REPEATS = 10_000
"""Product of the counts of repeated groups: they are unrolled, which no timeout bounds."""
REPEATED_GROUP = re.compile(r"\)\{(?:\d*,)?(\d+)")


class TooSlow(Exception):
    """The regular expression is wrong, too long or takes too long."""


@dataclass(frozen=True)
class Regex:
    """Searches the answer for the reference: a pattern, or a list of which one has to match.

    `whole` asks for a match of the whole answer, `ignore_case` for one in any case.
    """

    whole: bool = False
    ignore_case: bool = False
    timeout_s: float = TIMEOUT_S

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """Return 1 or 0; None without a pattern, or if matching timed out."""
        text = text_of(answer)
        tried = [self._tried(str(pattern), text) for pattern in accepted(reference)]
        if any(tried):
            return 1.0
        return None if None in tried or not tried else 0.0

    def _tried(self, pattern: str, text: str) -> bool | None:
        try:
            return searched(
                pattern,
                text,
                whole=self.whole,
                ignore_case=self.ignore_case,
                timeout_s=self.timeout_s,
            )
        except TooSlow:
            return None


def searched(
    pattern: str,
    text: str,
    *,
    whole: bool = False,
    ignore_case: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> bool:
    """Whether a pattern occurs in a text; raise TooSlow on timeout."""
    import regex  # has timeouts, which `re` lacks

    if len(pattern) > LONGEST_PATTERN or _repeats(pattern) > MOST_REPEATS:
        raise TooSlow
    try:
        compiled = regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
        match = compiled.fullmatch if whole else compiled.search
        return match(text, timeout=timeout_s) is not None
    except (regex.error, TimeoutError, OverflowError, RecursionError, MemoryError) as exc:
        raise TooSlow from exc


def _repeats(pattern: str) -> int:
    return math.prod(max(int(count[:6]), 1) for count in REPEATED_GROUP.findall(pattern))
