"""Chunks and answers are read into events; what comes in strange shapes is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collegium.experts.clients.events import (
    AnswerEvent,
    Began,
    Finish,
    Other,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from collegium.experts.clients.openai_shape import (
    Unshaped,
    answer_events,
    chunk_events,
    head_of,
    message_events,
    plain_text,
)


def of_choice(delta: Any, **fields: Any) -> list[AnswerEvent]:
    """The events of a chunk with one choice."""
    return chunk_events({"choices": [{"index": 0, "delta": delta, **fields}]})


@pytest.mark.parametrize(
    ("delta", "events"),
    [
        ({"role": "assistant", "content": ""}, []),
        ({}, []),
        (None, []),
        ({"content": "Hi"}, [Text("Hi")]),
        ({"role": "assistant", "content": "Hi"}, [Text("Hi")]),
        ({"content": None, "reasoning": "Hm"}, [Reasoning("Hm", "reasoning")]),
        ({"reasoning_content": "Hm", "reasoning": "Hm"}, [Reasoning("Hm")]),
        ({"refusal": "No."}, [Other({"refusal": "No."})]),
        ({"refusal": None, "audio": {}}, []),
        ({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}, [Text("ab")]),
    ],
)
def test_a_delta_is_read_into_pieces(delta: Any, events: list[AnswerEvent]) -> None:
    """Empty fields say nothing."""
    assert of_choice(delta) == events


def test_a_tool_call_always_has_an_index() -> None:
    """The upstream's, else its position; the official SDKs need it."""
    first, second = of_choice({"tool_calls": [{"id": "a"}, {"index": 5, "id": "b"}]})
    assert first == ToolCall(0, {"id": "a"})
    assert second == ToolCall(5, {"index": 5, "id": "b"})


def test_fields_of_a_choice_go_with_its_first_piece() -> None:
    """Such as log-probabilities, and whatever an upstream adds; nulls are left out."""
    delta = {"reasoning": "Hm", "content": "Hi"}
    logprobs = {"content": [{"token": "Hi", "logprob": -0.5}]}
    found = of_choice(delta, logprobs=logprobs, stop_reason=None, finish_reason="stop")
    assert found == [
        Reasoning("Hm", "reasoning", extra={"logprobs": logprobs}),
        Text("Hi"),
        Finish("stop"),
    ]


def test_fields_without_a_piece_are_not_lost() -> None:
    """With the end of the choice, else with an empty piece."""
    assert of_choice({}, token_ids=[1]) == [Text("", extra={"token_ids": [1]})]
    assert of_choice({}, stop_reason=2, finish_reason="stop") == [
        Finish("stop", extra={"stop_reason": 2})
    ]


def test_several_choices_are_told_apart() -> None:
    """By their index."""
    choices = [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    assert chunk_events({"choices": choices, "usage": usage}) == [
        Text("b", choice=1),
        Text("a"),
        Usage(usage),
    ]


def test_a_whole_answer_begins_with_its_head() -> None:
    """Message fields that are there but empty are kept: who sends them, expects them."""
    message: Any = {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    answer = {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}
    assert answer_events("tiny", answer) == [
        Began("tiny", {"id": "1"}, model="m"),
        Text("Hi"),
        Other({"refusal": None, "tool_calls": []}),
        Finish("stop", extra={"logprobs": None}),
    ]


def test_an_empty_answer_is_an_empty_text() -> None:
    """And not no text at all."""
    assert message_events({"message": {"content": ""}, "finish_reason": "length"}) == [
        Text(""),
        Finish("length"),
    ]


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": "none"},
        {"choices": {"a": 1}},
        {"choices": [1]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"content": ["a"]}}]},
        {"choices": [{"delta": {"reasoning": 5}}]},
        {"choices": [{"delta": {"tool_calls": "find"}}]},
        {"choices": [{"delta": {"tool_calls": ["find"]}}]},
        {"choices": [None]},
        {"message": "out of memory"},
    ],
)
def test_what_has_no_chats_shape_is_refused(chunk: Any) -> None:
    """Nobody after this place has to doubt a type."""
    with pytest.raises(Unshaped):
        chunk_events(chunk)


@pytest.mark.parametrize("usage", [5, "many", [], None])
def test_usage_of_no_use_ends_no_answer(usage: Any) -> None:
    """It counts nothing."""
    assert chunk_events({"choices": [], "usage": usage}) == []
    choice = {"message": {"content": "Hi"}, "finish_reason": "stop"}
    found = answer_events("tiny", {"choices": [choice], "usage": usage})
    assert found == [Began("tiny"), Text("Hi"), Finish("stop")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"choices":[{"index":0,"delta":{"content":"Hi"}}]}', Text("Hi")),
        (b'{"choices":[{"index":2,"delta":{"role":"a","content":"Hi"}}]}', Text("Hi", choice=2)),
        (
            b'{"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null}],"id":"1"}',
            Text("Hi"),
        ),
        (b'{"choices":[{"index":0,"delta":{"content":""}}]}', None),
        (b'{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}', None),
        (b'{"choices":[{"index":0,"delta":{"content":"Hi","audio":{"id":1}}}]}', None),
        (b'{"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":{"content":[]}}]}', None),
        (b'{"choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":{"prompt_tokens":1}}', None),
        (b'{"choices":[{"index":0,"delta":{"content":"Hi"}}],"error":{"message":"no"}}', None),
        (b'{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"},"index":1}]}', None),
        (b'{"choices":[]}', None),
        (b'{"choices":[{"index":0,"delta":{"content":"\\ud800"}}]}', None),
        (b"\xff", None),
        (b"{", None),
    ],
)
def test_plain_text_is_read_by_its_bytes(data: bytes, text: Text | None) -> None:
    """What says anything else is left to the general way, which reads plain text alike."""
    assert plain_text(data) == text
    if text is not None:
        assert chunk_events(json.loads(data)) == [text]


@pytest.mark.parametrize(
    ("told", "counted"), [(7, 7), (7.0, 7), (None, 0), ("7", 0), (-1, 0), (1e300, 0), ([], 0)]
)
def test_usage_of_any_kind_is_a_number(told: Any, counted: int) -> None:
    """What is no number of tokens counts as none."""
    usage = Usage({"prompt_tokens": told, "completion_tokens": told})
    assert (usage.prompt_tokens, usage.completion_tokens) == (counted, counted)


def test_a_head_is_what_is_not_told_elsewhere() -> None:
    """Choices, usage and the model's name are ours to tell."""
    chunk = {"id": "1", "created": 5, "system_fingerprint": "fp", "model": "m", "choices": []}
    assert head_of(chunk) == {"id": "1", "created": 5, "system_fingerprint": "fp"}
