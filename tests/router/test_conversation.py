"""What a conversation asks for now."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.router.conversation import query_text, text_of


def said(role: str, content: Any) -> dict[str, Any]:
    """One message."""
    return {"role": role, "content": content}


LONG = "How many films are longer than two hours?"


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([said("user", LONG)], LONG),
        ([said("system", "Be brief."), said("user", LONG)], LONG),
        ([said("user", "Hello"), said("assistant", "Hi!"), said("user", LONG)], LONG),
        ([said("user", LONG), said("user", "and backwards?")], f"{LONG}\nand backwards?"),
        ([said("user", "Hi")], "Hi"),
        ([said("user", LONG), said("assistant", ""), said("tool", "42")], LONG),
        ([said("user", LONG), said("user", "")], LONG),
        ([said("system", "Write a haiku."), said("assistant", None)], "Write a haiku."),
        ([said("assistant", None)], ""),
        ([], ""),
    ],
)
def test_the_text_that_is_routed_on(messages: list[dict[str, Any]], expected: str) -> None:
    """The last question, with the one before it when it says too little by itself."""
    assert query_text(messages) == expected


def test_a_question_in_parts_is_read_as_its_texts() -> None:
    """Pictures and unknown parts are passed over."""
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": None},
        {"type": "text", "text": "in the picture?"},
    ]
    assert text_of(said("user", parts)) == "What is\nin the picture?"


@pytest.mark.parametrize("content", [None, 5, {"text": "no list"}, ["text"], []])
def test_what_is_no_text_says_nothing(content: Any) -> None:
    """Whatever a message holds, reading it is no error."""
    assert text_of(said("user", content)) == ""
