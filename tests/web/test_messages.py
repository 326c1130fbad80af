"""POST /v1/messages: what comes back, whole and streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from collegium.errors import ExpertError, ExpertUnavailable
from tests.web.conftest import Web
from tests.web.fakes import delta
from tests.web.messages import ask, content_of, events, events_of, message

USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
TOOL = {"name": "look", "input_schema": {"type": "object"}}


def call(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    """A piece of a tool call as upstreams send it; the first has the name."""
    head = {"id": f"call_{name}", "type": "function"} if name else {}
    named = {"name": name} if name else {}
    return {"tool_calls": [{"index": index, **head, "function": {**named, "arguments": arguments}}]}


async def test_a_whole_answer(web: Web) -> None:
    """In Anthropic's shape, with our labels beside it and in the headers."""
    answer = await ask(web, "sql 1")
    body = await message(web, "sql 1")
    assert body["content"] == [{"type": "text", "text": "hello there"}]
    assert body["model"] == "sql"
    assert body["stop_reason"] == "end_turn"
    assert body["id"] == f"msg_{body['collegium']['decision']['id']}"
    assert body["collegium"]["outcome"]["expert"] == "sql"
    assert answer.headers["x-collegium-expert"] == "sql"
    assert answer.headers["request-id"] == answer.headers["x-request-id"] != ""


async def test_a_streamed_answer(web: Web) -> None:
    """The decision is on the first event and the outcome on the last one."""
    told = await events(web, "sql 1")
    assert content_of(told) == [{"type": "text", "text": "hello there "}]
    start, end = told[0]["message"], told[-2]
    assert start["model"] == "sql"
    assert start["content"] == []
    assert start["collegium"]["decision"]["expert"] == start["collegium"]["expert"] == "sql"
    assert end["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert end["usage"]["output_tokens"] == 2
    assert end["collegium"]["outcome"]["status"] == "ok"


async def test_a_stream_pings_after_its_start(web: Web) -> None:
    """As Anthropic's does."""
    text = (await ask(web, stream=True)).text
    assert [event["type"] for event in events_of(text)][:2] == ["message_start", "ping"]


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (USAGE, (7, 0, 0, 2)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 5}}, (2, 5, 0, 2)),
        (
            {**USAGE, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 3},
            (0, 3, 4, 2),
        ),
        (
            {**USAGE, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2}},
            (4, 1, 2, 2),
        ),
    ],
)
async def test_usage_is_told_as_anthropic_counts(
    web: Web, usage: dict[str, Any], wanted: tuple[int, ...]
) -> None:
    """Tokens that were cached are not among `input_tokens`."""
    web.experts["sql"].usage = usage
    for told in ((await message(web))["usage"], (await events(web))[-2]["usage"]):
        assert (
            told["input_tokens"],
            told["cache_read_input_tokens"],
            told["cache_creation_input_tokens"],
            told["output_tokens"],
        ) == wanted


async def test_reasoning_tokens_are_told(web: Web) -> None:
    """Apart, and among the output."""
    details = {"completion_tokens_details": {"reasoning_tokens": 1}}
    web.experts["sql"].usage = {**USAGE, **details}
    usage = (await message(web))["usage"]
    assert (usage["output_tokens"], usage["output_tokens_details"]) == (2, {"thinking_tokens": 1})


async def test_usage_that_nobody_told_is_estimated(web: Web) -> None:
    """As in the outcome."""
    web.experts["sql"].usage = None
    body = await message(web)
    assert body["usage"]["output_tokens"] == body["collegium"]["outcome"]["completion_tokens"] > 0


@pytest.mark.parametrize(
    ("reason", "extra", "wanted"),
    [
        ("stop", {}, ("end_turn", None)),
        ("length", {}, ("max_tokens", None)),
        ("content_filter", {}, ("refusal", None)),
        ("stop", {"stop_reason": "END"}, ("stop_sequence", "END")),
        ("stop", {"stop_reason": "other"}, ("end_turn", None)),
        ("stop", {"stop_reason": 128009}, ("end_turn", None)),
        (None, {}, ("end_turn", None)),
    ],
)
async def test_why_an_answer_ended(
    web: Web, reason: str | None, extra: dict[str, Any], wanted: tuple[str, str | None]
) -> None:
    """`stop_sequence` where the upstream says so, as vLLM does."""
    ended = {"index": 0, "finish_reason": reason, **extra}
    script = web.experts["sql"]
    script.choices = [{**ended, "message": {"role": "assistant", "content": "hi"}}]
    script.chunks = [delta({"content": "hi"}), delta({}, reason, **extra)]
    body = await message(web, stop_sequences=["END"])
    end = (await events(web, stop_sequences=["END"]))[-2]["delta"]
    assert (body["stop_reason"], body["stop_sequence"]) == wanted
    assert (end["stop_reason"], end["stop_sequence"]) == wanted


async def test_an_experts_refusal(web: Web) -> None:
    """Its words are text, and the reason says what they are."""
    web.experts["sql"].choices = [
        {"message": {"role": "assistant", "content": None, "refusal": "I won't"}}
    ]
    web.experts["sql"].chunks = [delta({"refusal": "I won't"}), delta({}, "stop")]
    body, told = await message(web), await events(web)
    assert body["content"] == content_of(told) == [{"type": "text", "text": "I won't"}]
    assert body["stop_reason"] == told[-2]["delta"]["stop_reason"] == "refusal"


async def test_tool_calls(web: Web) -> None:
    """Whole and in pieces."""
    calls = [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"at": [1, 2]}'}}
    ]
    given = {"content": "Let me see.", "tool_calls": calls}
    script = web.experts["sql"]
    script.choices = [{"message": given, "finish_reason": "tool_calls"}]
    script.chunks = [
        delta({"content": "Let me see."}),
        delta(call(0, "", "look")),
        delta(call(0, '{"at": ')),
        delta(call(0, "[1, 2]}")),
        delta({}, "tool_calls"),
    ]
    body, told = await message(web, tools=[TOOL]), await events(web, tools=[TOOL])
    text, used = body["content"]
    assert text == {"type": "text", "text": "Let me see."}
    assert used == {"type": "tool_use", "id": "a", "name": "look", "input": {"at": [1, 2]}}
    assert content_of(told) == [text, used | {"id": "call_look"}]
    assert body["stop_reason"] == told[-2]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, "", "a"), (0, '{"x": 1}', None), (1, "", "b"), (1, '{"y": 2}', None)],
        [(0, '{"x"', "a"), (1, '{"y"', "b"), (0, ": 1}", None), (1, ": 2}", None)],
        [(0, "", "a"), (1, "", "b"), (1, '{"y": 2}', None), (0, '{"x": 1}', None)],
        [(0, '{"x": 1}', "a"), (1, '{"y": 2}', "b")],
    ],
)
async def test_calls_of_several_tools_are_never_interleaved(
    web: Web, pieces: Sequence[tuple[int, str, str | None]]
) -> None:
    """However the upstream sends them."""
    chunks = [delta(call(index, arguments, name)) for index, arguments, name in pieces]
    web.experts["sql"].chunks = [*chunks, delta({}, "tool_calls")]
    told = await events(web, tools=[TOOL])
    assert [(b["name"], b["input"]) for b in content_of(told)] == [("a", {"x": 1}), ("b", {"y": 2})]


async def test_a_complete_call_is_not_held_back_for_the_next_one(web: Web) -> None:
    """It ends when the next one begins."""
    script = web.experts["sql"]
    script.chunks = [
        delta(call(0, '{"x": 1}', "a")),
        delta(call(1, '{"y"', "b")),
        delta(call(1, ": 2}")),
        delta({}, "tool_calls"),
    ]
    told = [e for e in await events(web, tools=[TOOL]) if e["type"].startswith("content_block")]
    assert [e["index"] for e in told] == [0, 0, 0, 1, 1, 1, 1]


async def test_a_call_without_arguments(web: Web) -> None:
    """Has an empty object."""
    given = {"tool_calls": [{"id": "a", "function": {"name": "look", "arguments": ""}}]}
    web.experts["sql"].choices = [{"message": given, "finish_reason": "stop"}]
    web.experts["sql"].chunks = [delta(call(0, "", "look")), delta({}, "stop")]
    body, told = await message(web, tools=[TOOL]), await events(web, tools=[TOOL])
    assert body["content"][0]["input"] == content_of(told)[0]["input"] == {}
    assert body["stop_reason"] == told[-2]["delta"]["stop_reason"] == "tool_use"


async def test_arguments_that_are_no_json_are_not_lost(web: Web) -> None:
    """The tool can complain of them."""
    given = {"tool_calls": [{"id": "a", "function": {"name": "look", "arguments": '{"x": '}}]}
    web.experts["sql"].choices = [{"message": given, "finish_reason": "tool_calls"}]
    (used,) = (await message(web, tools=[TOOL]))["content"]
    assert used["input"] == {"unparsed_arguments": '{"x": '}


async def test_reasoning_is_a_thinking_block(web: Web) -> None:
    """Before the text, and without a signature where the upstream gives none."""
    thought = {"reasoning_content": "hm"}
    script = web.experts["sql"]
    script.choices = [{"message": {"content": "yes", **thought}, "finish_reason": "stop"}]
    script.chunks = [delta(thought), delta({"content": "yes"}), delta({}, "stop")]
    wanted = [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "yes"},
    ]
    assert (await message(web))["content"] == content_of(await events(web)) == wanted


SIGNED = [
    {"type": "thinking", "thinking": "first", "signature": "s1"},
    {"type": "redacted_thinking", "data": "secret"},
    {"type": "thinking", "thinking": "then", "signature": "s2"},
]


async def test_signed_thoughts_survive(web: Web) -> None:
    """As LiteLLM tells them: a block in pieces, its signature last."""
    script = web.experts["sql"]
    told = {"reasoning_content": "firstthen", "thinking_blocks": SIGNED}
    script.choices = [{"message": {"content": "yes", **told}, "finish_reason": "stop"}]
    script.chunks = [
        delta(thinking("fi")),
        delta(thinking("rst")),
        delta(thinking("", "s1")),
        delta({"thinking_blocks": [SIGNED[1]]}),
        delta(thinking("then")),
        delta(thinking("", "s2")),
        delta({"content": "yes"}),
        delta({}, "stop"),
    ]
    wanted = [*SIGNED, {"type": "text", "text": "yes"}]
    assert (await message(web))["content"] == content_of(await events(web)) == wanted


def thinking(text: str, signature: str | None = None) -> dict[str, Any]:
    """A piece of a thinking block as LiteLLM sends it."""
    block = {"type": "thinking", "thinking": text}
    block |= {} if signature is None else {"signature": signature}
    return {"reasoning_content": text, "thinking_blocks": [block]}


async def test_signed_thoughts_also_reach_chat_completions(web: Web) -> None:
    """Put together as they came, where the answer is whole."""
    told = {"reasoning_content": "firstthen", "thinking_blocks": SIGNED}
    web.experts["sql"].choices = [{"message": {"content": "yes", **told}}]
    found = (await web.chat()).json()["choices"][0]["message"]
    assert found["thinking_blocks"] == SIGNED
    assert found["reasoning_content"] == "firstthen"


async def test_a_panel_answers(web: Web) -> None:
    """Whole and streamed, with what became of it."""
    routing = {"k": 2}
    body = await message(web, "sql 1", model="collegium/vote", routing=routing)
    told = await events(web, "sql 1", model="collegium/vote", routing=routing)
    assert body["content"] == content_of(told) == [{"type": "text", "text": "hello there "}]
    assert body["collegium"]["panel"]["mode"] == told[-2]["collegium"]["panel"]["mode"] == "vote"


async def test_an_expert_that_fails_in_the_middle(web: Web) -> None:
    """Is an error event, after which nothing comes."""
    web.experts["sql"].dies = ExpertError("sql", "broke")
    text = (await ask(web, stream=True, model="sql")).text
    *_, last = events_of(text)
    assert last["type"] == "error"
    assert last["error"] == {"type": "api_error", "message": "expert 'sql': broke"}


async def test_who_was_asked_in_vain_is_told(web: Web) -> None:
    """On the first event."""
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    start = (await events(web, "sql 1"))[0]["message"]
    assert start["model"] != "sql"
    assert [tried["expert"] for tried in start["collegium"]["tried"]] == ["sql"]


async def test_the_outcome_is_recorded(web: Web) -> None:
    """As of every other request."""
    body = await message(web)
    outcome = await web.outcome(body["collegium"]["decision"]["id"])
    assert (outcome["prompt_tokens"], outcome["completion_tokens"]) == (7, 2)
