"""What requests need of whoever answers them."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.router.needs import NOTHING, Needs, needs_of, wordless

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
FILE = {"type": "file", "file": {"file_data": "AA=="}}
TEXT = {"type": "text", "text": "what is this?"}
TOOL = {"type": "function", "function": {"name": "look"}}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    ("fields", "must", "better"),
    [
        ({}, (), ()),
        ({"messages": [user(TEXT, IMAGE)]}, ("images",), ()),
        ({"messages": [user(AUDIO), user(FILE)]}, ("audio", "files"), ()),
        ({"tools": [TOOL]}, ("tools",), ()),
        ({"tools": []}, (), ()),
        ({"functions": [TOOL["function"]]}, ("tools",), ()),
        ({"messages": [{"role": "tool", "content": "42"}]}, ("tools",), ()),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, ("json_schema",), ()),
        ({"response_format": {"type": "json_object"}}, ("json_object",), ()),
        ({"response_format": {"type": "text"}}, (), ()),
        ({"logprobs": True}, ("logprobs",), ()),
        ({"logprobs": False, "n": 1}, (), ()),
        ({"n": 2}, ("n",), ()),
        ({"modalities": ["text", "audio"]}, ("audio_output",), ()),
        ({"reasoning_effort": "high"}, (), ("reasoning",)),
        ({"reasoning_effort": "none"}, (), ()),
        ({"tools": [TOOL], "parallel_tool_calls": True}, ("tools",), ("parallel_tools",)),
        ({"tools": [TOOL], "parallel_tool_calls": False}, ("tools",), ()),
    ],
)
def test_a_body_needs_what_is_in_it(
    fields: dict[str, Any], must: tuple[str, ...], better: tuple[str, ...]
) -> None:
    """Contents and fields; what is turned off needs nothing."""
    body = {"messages": [{"role": "user", "content": "hello"}], **fields}
    assert needs_of(body) == Needs(must, better)


@pytest.mark.parametrize("content", [None, "x", 7, [7], ["x"], [{"type": []}], [{"type": "odd"}]])
def test_odd_content_needs_nothing(content: Any) -> None:
    """It is the expert's to refuse."""
    assert needs_of({"messages": [{"role": "user", "content": content}]}) is NOTHING


@pytest.mark.parametrize(
    ("messages", "stands"),
    [
        ([user(IMAGE)], "(image)"),
        ([user(IMAGE, FILE, IMAGE)], "(image, file)"),
        ([user(TEXT), user(AUDIO)], "(audio)"),
        ([user(IMAGE), {"role": "assistant", "content": "a cat"}], "(image)"),
        ([user(TEXT, IMAGE)], None),
        ([user(IMAGE), user(TEXT)], None),
        ([{"role": "user", "content": ""}], None),
        ([{"role": "system", "content": "be brief"}], None),
    ],
)
def test_a_message_without_text_is_known_by_what_it_holds(
    messages: list[dict[str, Any]], stands: str | None
) -> None:
    """An older turn's text would be another question's."""
    assert wordless(messages) == stands
