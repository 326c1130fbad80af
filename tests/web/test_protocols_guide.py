"""The guide to protocols names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

WEB = Path(__file__).parent
GUIDE = WEB.parents[1] / "docs" / "guides" / "protocols.md"


def test_every_named_test_is_there() -> None:
    """By its file and its function."""
    named = re.findall(r"`(\w+\.py)::(\w+)`", GUIDE.read_text(encoding="utf-8"))
    assert len(named) > 10
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (WEB / file).read_text(encoding="utf-8")
    ]
    assert missing == []
