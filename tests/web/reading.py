"""Read server-sent events as a client does."""

from __future__ import annotations

import json
from typing import Any


def events(text: str) -> list[Any]:
    """Every event's data, the end mark as it is."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def chunks(text: str) -> list[Any]:
    """The chunks of a streamed answer that came to its end."""
    *found, mark = events(text)
    assert mark == "[DONE]", found[-1:]
    return found


def said(found: list[Any], choice: int = 0) -> str:
    """The text of one choice of a streamed answer."""
    told = [c for chunk in found for c in chunk.get("choices", []) if c["index"] == choice]
    return "".join(c["delta"].get("content") or "" for c in told)
