"""A reply: begun once, read once, counted on the way, and put together."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.errors import ExpertError
from collegium.experts.clients.events import AnswerEvent, Began, Text, Usage
from collegium.experts.clients.openai_shape import Listed, answer_events, chunk_events
from collegium.experts.clients.reply import Answer, Fold, Reply, Waits

USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


def folded(*choices: Any) -> Answer:
    """What chunks of one choice each become."""
    events = [event for choice in choices for event in chunk_events({"choices": [choice]})]
    return Fold(events).answer()


def delta(index: int = 0, finish_reason: str | None = None, **fields: Any) -> Any:
    """One choice of a chunk."""
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


async def test_it_begins_with_its_first_event() -> None:
    """Which is then told like the others."""
    reply = Reply(Listed([Began("tiny", {"id": "1"}), Text("Hi"), Usage(USAGE)]))
    await reply.begin("tiny")
    assert reply.began == Began("tiny", {"id": "1"})
    assert reply.tokens == 0
    assert [event async for event in reply] == [reply.began, Text("Hi"), Usage(USAGE)]
    assert (reply.tokens, reply.usage) == (1, Usage(USAGE))
    assert reply.first_at is not None


@pytest.mark.parametrize("events", [[], [Usage(USAGE)]])
async def test_an_end_before_the_beginning_is_an_error(events: list[AnswerEvent]) -> None:
    """With the expert's name."""
    with pytest.raises(ExpertError, match="'tiny': the stream ended without an answer"):
        await Reply(Listed(events)).begin("tiny")


async def test_a_whole_answer_has_no_time_to_its_first_token() -> None:
    """All of it came at once."""
    reply = Reply(Listed([Began("tiny"), Text("Hi")]), streamed=False)
    assert (await reply.whole()).text == "Hi"
    assert reply.first_at is None


def test_a_whole_answer_is_folded_into_itself() -> None:
    """Nothing is lost and nothing added."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    choices = [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "refusal": None, "audio": {"id": 1}},
            "finish_reason": "stop",
            "logprobs": None,
            "stop_reason": 5,
        },
        {
            "index": 1,
            "message": {"role": "assistant", "content": None, "tool_calls": [call]},
            "finish_reason": "tool_calls",
        },
    ]
    body = {"id": "1", "created": 5, "choices": choices, "usage": USAGE}
    assert Fold(answer_events("tiny", body)).answer().body() == body


def test_tool_calls_are_put_together_by_index() -> None:
    """Ids and names come once, arguments in pieces; calls may be mixed."""
    answer = folded(
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"x"'}}]),
        delta(tool_calls=[{"index": 1, "function": {"arguments": "}"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        delta(finish_reason="tool_calls"),
    )
    (choice,) = answer.choices
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert [(c["id"], c["type"], c["function"]) for c in choice["message"]["tool_calls"]] == [
        ("a", "function", {"name": "f", "arguments": '{"x": 1}'}),
        ("b", "function", {"name": "g", "arguments": "{}"}),
    ]


def test_arguments_that_are_no_text_stay_what_they_are() -> None:
    """Some servers send an object instead of its JSON."""
    function = {"name": "f", "arguments": {"x": 1}}
    answer = folded(delta(tool_calls=[{"index": 0, "id": "a", "function": function}]))
    (call,) = answer.choices[0]["message"]["tool_calls"]
    assert call["function"] == function


def test_reasoning_keeps_the_upstreams_name() -> None:
    """Apart from the answer's text."""
    answer = folded(delta(reasoning="Let me "), delta(reasoning="see."), delta(content="42"))
    message = answer.choices[0]["message"]
    assert (message["reasoning"], message["content"]) == ("Let me see.", "42")


def test_choices_are_put_together_apart() -> None:
    """And come in their order."""
    answer = folded(delta(1, content="b"), delta(0, content="a"), delta(1, content="c"))
    assert [(c["index"], c["message"]["content"]) for c in answer.choices] == [(0, "a"), (1, "bc")]


def test_log_probabilities_grow() -> None:
    """Token by token; of other fields the last value counts."""

    def token(text: str) -> Any:
        return {
            **delta(content=text),
            "logprobs": {"content": [{"token": text, "logprob": -1.0}], "refusal": None},
            "token_ids": [len(text)],
        }

    (choice,) = folded(token("a"), token("bc")).choices
    assert [t["token"] for t in choice["logprobs"]["content"]] == ["a", "bc"]
    assert choice["logprobs"]["refusal"] is None
    assert choice["token_ids"] == [2]


@pytest.mark.parametrize("told", [5, "x", {"a": 1}, None])
def test_log_probabilities_of_another_shape_are_no_crash(told: Any) -> None:
    """The last that says something counts."""
    pieces = [{**delta(content="a"), "logprobs": {"content": value}} for value in (told, None)]
    assert folded(*pieces).choices[0]["logprobs"] == {"content": told}


def test_folding_changes_no_chunk() -> None:
    """Encoders may still read it."""
    logprobs = {"content": [{"token": "a", "logprob": -1.0}]}
    folded(
        {**delta(content="a"), "logprobs": logprobs}, {**delta(content="a"), "logprobs": logprobs}
    )
    assert logprobs == {"content": [{"token": "a", "logprob": -1.0}]}


def test_nothing_at_all_is_an_empty_answer() -> None:
    """One choice without a reason to end."""
    assert Fold().answer().choices == (
        {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": None},
    )


def test_waits_add_up() -> None:
    """Unknown as long as there was no turn, however long the engine took to load."""
    assert Waits(None, 2.0).total_ms is None
    assert Waits(0.5, 2.0).total_ms == 2500.0


@pytest.mark.parametrize(("streamed", "tokens"), [(True, 1), (False, 9)])
async def test_tokens_are_guessed_by_pieces_or_by_length(streamed: bool, tokens: int) -> None:
    """For the accounts of an answer whose usage nobody told."""
    reply = Reply(Listed([Began("tiny"), Text("x" * 40)]), streamed=streamed)
    await reply.whole()
    assert reply.tokens == tokens


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({"content": "x" * 40}, 9),
        ({"content": "x" * 40, "refusal": None, "tool_calls": [], "extra": {"a": None}}, 9),
        ({"content": None, "refusal": "x" * 40}, 9),
        ({"function_call": {"name": "find", "arguments": "x" * 36}}, 9),
        ({"tool_calls": [{"id": "1", "function": {"name": "find", "arguments": "x" * 36}}]}, 9),
    ],
)
async def test_what_says_nothing_takes_no_tokens(message: Any, tokens: int) -> None:
    """Many servers send fields that are empty."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", **message}}]}
    reply = Reply(Listed(answer_events("tiny", body)), streamed=False)
    await reply.whole()
    assert reply.tokens == tokens
