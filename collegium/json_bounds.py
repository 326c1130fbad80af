"""How deep JSON is nested and how many values it has, by its bytes, before anything is parsed.

A megabyte of a million brackets takes seconds to validate, and Python's recursion ends at a depth
that a kilobyte reaches.
"""

from __future__ import annotations

import re

MOST_DEPTH = 100
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENING = frozenset(b"[{")


def excess(data: bytes, most_values: int) -> str | None:
    """What there is too much of, in words; None where the JSON is within its bounds."""
    if data.count(b"[") + data.count(b"{") <= MOST_DEPTH and data.count(b",") <= most_values:
        return None  # nearly always
    # What strings hold is no value. There are at most two a value: more need not be looked at.
    bare, strings = _STRING.subn(b"", data, 2 * most_values)
    if strings == 2 * most_values or _values(bare) > most_values:
        return f"it has more than {most_values} values"
    return f"it is nested more than {MOST_DEPTH} deep" if _depth(bare) > MOST_DEPTH else None


def _values(bare: bytes) -> int:
    """About as many as there are."""
    return bare.count(b",") + bare.count(b"[") + bare.count(b"{")


def _depth(bare: bytes) -> int:
    depth = deepest = 0
    for bracket in bare.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        deepest = max(deepest, depth)
    return deepest
