"""How deep JSON is nested and how many values it has, by its bytes, before anything is parsed.

A megabyte of a million brackets takes seconds to validate, and Python's recursion ends at a depth
that a kilobyte reaches.
"""

from __future__ import annotations

import json
from typing import Any

MOST_DEPTH = 100
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENING = frozenset(b"[{")


def excess(data: bytes, most_values: int) -> str | None:
    """What there is too much of, in words; None if the JSON is within its bounds."""
    if data.count(b"[") + data.count(b"{") <= MOST_DEPTH and data.count(b",") <= most_values:
        return None  # nearly always
    bare = _outside_strings(data, 2 * most_values)  # what strings hold is no value
    if bare is not None and _depth(bare, 2 * most_values) > MOST_DEPTH:
        return f"it is nested more than {MOST_DEPTH} deep"
    if bare is None or _values(bare) > most_values:
        return f"it has more than {most_values} values"
    return None


def whole_pairs(data: bytes) -> bytes:
    """JSON with U+FFFD in the place of half a surrogate pair; what is no JSON stays as it is."""
    if b"\\ud" not in data and b"\\uD" not in data:  # nearly always
        return data
    try:
        return json.dumps(without_half_pairs(json.loads(data))).encode()
    except (ValueError, RecursionError):
        return data


def without_half_pairs(value: Any) -> Any:
    """A value of JSON with U+FFFD in the place of half a surrogate pair, as browsers send it.

    JavaScript's clients send it where they cut a text within an emoji. Tokenizers fail on it, and
    an expert that fails is left alone for a while, also by others.
    """
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _outside_strings(data: bytes, most_strings: int) -> bytes | None:
    """JSON without its strings; None if there are too many. 32 MiB take 0.1 s."""
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 2 * most_strings:
        return None
    return b"".join(plain.split(b'"')[::2])


def _values(bare: bytes) -> int:
    """About as many as there are."""
    return bare.count(b",") + bare.count(b"[") + bare.count(b"{")


def _depth(bare: bytes, most: int) -> int:
    """The depth that the first so many brackets reach: valid JSON of few values has no more."""
    depth = deepest = 0
    for bracket in bare.translate(None, _NOT_BRACKETS)[:most]:
        depth += 1 if bracket in _OPENING else -1
        deepest = max(deepest, depth)
    return deepest
