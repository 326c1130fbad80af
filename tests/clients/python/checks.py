"""What every client's program needs: where to ask, and what is to be seen."""

from __future__ import annotations

import sys
from typing import Any

BASE, KEY, MODEL, SCRIPTED = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] == "scripted"
"""The service's address without `/v1`; SCRIPTED: the expert's answers are known."""
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


def same(found: Any, expected: Any) -> None:
    """Two values have to be the same."""
    if found != expected:
        raise SystemExit(f"expected {expected!r}, found {found!r}")


def said(found: str | None, expected: str) -> None:
    """An answer's text: of the scripted expert the expected one, of a real one any."""
    if SCRIPTED:
        same(found, expected)
    elif not found:
        raise SystemExit(f"no answer: {found!r}")
