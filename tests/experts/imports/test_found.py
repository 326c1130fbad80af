"""Values of other gateways' configurations, whatever their types."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.experts.imports.found import (
    Found,
    key_variable,
    mapping,
    mappings,
    name_of,
    per_million,
    whole,
)


@pytest.mark.parametrize(
    ("price", "dollars"),
    [(0.00000015, 0.15), ("3e-06", 3.0), (0, 0.0), (None, None), ("free", None), ([], None)],
)
def test_a_price_per_token_becomes_one_per_million(price: Any, dollars: float | None) -> None:
    """Without binary fractions; None if it isn't a number."""
    assert per_million(price) == dollars


@pytest.mark.parametrize("price", [float("nan"), "nan", float("inf"), "-inf", -1e-6])
def test_a_price_that_no_model_has_is_unknown(price: Any) -> None:
    """YAML has `.nan` and `.inf`; an unknown price never counts as free."""
    assert per_million(price) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (8192, 8192),
        ("8192", 8192),
        (0, None),
        (-1, None),
        (2**31, None),
        (None, None),
        ("many", None),
        (float("inf"), None),
        (float("nan"), None),
        ({}, None),
    ],
)
def test_a_whole_number_is_positive_and_fits_the_database(value: Any, number: int | None) -> None:
    """Also from text."""
    assert whole(value) == number


def test_names_have_only_allowed_characters() -> None:
    """A name never begins with punctuation and is never empty or too long."""
    assert name_of("openai/gpt-4o mini") == "openai-gpt-4o-mini"
    assert name_of("--x") == "x"
    assert name_of("☃") == "expert"
    assert len(name_of("a" * 200)) <= 64


def test_a_key_in_plain_text_gets_a_variable() -> None:
    """Its name matches the default of `api_key_variables`."""
    assert key_variable("gpt-4o.mini") == "GPT_4O_MINI_API_KEY"


def test_mappings_of_other_types_are_empty() -> None:
    """Keys become text, as YAML allows numbers."""
    assert mapping({1: "a"}) == {"1": "a"}
    others: tuple[object, ...] = (None, [], "a", 5)
    assert [mapping(value) for value in others] == [{}] * 4
    assert list(mappings([{"a": 1}, None, {}, "text"])) == [{"a": 1}, {}]
    assert list(mappings({"a": 1})) == []


def test_skipped_secrets_are_not_shown() -> None:
    """Nor are nested options; others are, with their values."""
    found = Found()
    found.skip_all("general", {"master_key": "sk-1", "timeout": 5, "cache": {"host": "a"}}, "see x")
    assert found.left_out == [
        "general: master_key (see x)",
        "general: timeout 5 (see x)",
        "general: cache (see x)",
    ]
