"""Presets that nobody could read back are refused before they are kept."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.registry.presets import MOST_DEEP, MOST_LONG, problem_of


def nested(depth: int) -> Any:
    """A list in a list, so many times."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [MOST_DEEP, 900, 20_000])
def test_deeply_nested_fields_are_refused(depth: int) -> None:
    """Also where they are too deep for JSON."""
    assert problem_of({"base": "gpt", "body": {"a": nested(depth)}})


def test_usual_and_long_presets() -> None:
    """Some nesting is usual; a text that is sent with every request has an end."""
    assert problem_of({"base": "gpt", "body": {"a": nested(8)}}) == ""
    assert str(MOST_LONG) in problem_of(
        {"base": "gpt", "body": {}, "system": "x" * MOST_LONG + "x"}
    )
