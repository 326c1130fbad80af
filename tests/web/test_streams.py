"""Streamed chat completions, chunk by chunk."""

from __future__ import annotations

import pytest

from tests.web.conftest import Web
from tests.web.fakes import HEAD, delta
from tests.web.reading import chunks, said

TOOLS = [
    {"index": 0, "id": "a", "type": "function", "function": {"name": "find", "arguments": ""}},
    {"index": 1, "id": "b", "type": "function", "function": {"name": "read", "arguments": ""}},
]


async def test_a_stream_is_labelled_at_both_ends(web: Web) -> None:
    """The decision on the first chunk, the outcome on the last, the usage after it if wanted."""
    response = await web.chat("sql 1", stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-collegium-expert"] == "sql"
    first, *middle, last, usage = chunks(response.text)
    assert first["collegium"]["decision"]["expert"] == first["collegium"]["expert"] == "sql"
    metadata = {"route": "quality", "model": "sql", "provider": "collegium"}
    assert first["x-router-metadata"] == metadata
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "hello "}
    assert "".join(c["choices"][0]["delta"]["content"] for c in middle) == "there "
    assert [set(c) & {"collegium", "x-router-metadata"} for c in middle] == [set()] * len(middle)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["collegium"]["outcome"]["completion_tokens"] == 2
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 9)
    everything = [first, *middle, last, usage]
    assert {c["id"] for c in everything} == {"chatcmpl-upstream"}
    assert {c["object"] for c in everything} == {"chat.completion.chunk"}
    assert {c["model"] for c in everything} == {"sql"}


async def test_usage_is_only_for_who_asks(web: Web) -> None:
    """The outcome tells it all the same."""
    found = chunks((await web.chat("sql 1", stream=True)).text)
    assert all("usage" not in chunk for chunk in found)
    assert found[-1]["collegium"]["outcome"]["prompt_tokens"] == 7


async def test_the_time_to_the_first_token_is_recorded(web: Web) -> None:
    """A part of the whole time."""
    found = chunks((await web.chat("sql 1", stream=True)).text)
    kept = await web.outcome(found[0]["collegium"]["decision"]["id"])
    assert 0 < kept["ttft_ms"] <= kept["latency_ms"]
    assert (await web.metrics())['collegium_first_token_seconds_count{expert="sql"}'] == 1


async def test_choices_end_one_by_one_and_the_last_has_the_outcome(web: Web) -> None:
    """With `n`, in whatever order they come and end."""
    web.experts["sql"].chunks = [
        delta({"role": "assistant", "content": "a"}),
        delta({"role": "assistant", "content": "b"}, index=1),
        delta({}, "length", index=1),
        delta({"content": "c"}),
        delta({}, "stop"),
    ]
    found = chunks((await web.chat("sql 1", stream=True, n=2)).text)
    assert (said(found), said(found, 1)) == ("ac", "b")
    roles = [c["choices"][0] for c in found if "role" in c["choices"][0]["delta"]]
    assert [choice["index"] for choice in roles] == [0, 1]
    ends = [c for c in found if c["choices"][0]["finish_reason"]]
    told = [(c["choices"][0]["index"], c["choices"][0]["finish_reason"]) for c in ends]
    assert told == [(1, "length"), (0, "stop")]
    assert ["outcome" in c.get("collegium", {}) for c in ends] == [False, True]
    assert found[-1] is ends[-1]


async def test_tool_calls_come_in_pieces_by_index(web: Web) -> None:
    """As the upstream cuts them."""
    pieces = [{"index": i, "function": {"arguments": text}} for i, text in ((0, "{"), (1, "[]"))]
    web.experts["sql"].chunks = [
        delta({"role": "assistant", "content": None, "tool_calls": [TOOLS[0]]}),
        delta({"tool_calls": [TOOLS[1]]}),
        *(delta({"tool_calls": [piece]}) for piece in pieces),
        delta({}, "tool_calls"),
    ]
    found = chunks((await web.chat("sql 1", stream=True)).text)
    deltas = [chunk["choices"][0]["delta"] for chunk in found]
    assert [t for d in deltas for t in d.get("tool_calls", [])] == [*TOOLS, *pieces]
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_tool_calls_without_an_index_get_their_place(web: Web) -> None:
    """Some servers send each whole and leave the number out, which clients need."""
    whole = [{k: v for k, v in tool.items() if k != "index"} for tool in TOOLS]
    web.experts["sql"].chunks = [delta({"tool_calls": whole}), delta({}, "tool_calls")]
    found = chunks((await web.chat("sql 1", stream=True)).text)
    tools = [t for c in found for t in c["choices"][0]["delta"].get("tool_calls", [])]
    assert tools == TOOLS


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_streams_under_the_upstreams_name(web: Web, field: str) -> None:
    """Before the answer, and not in it."""
    web.experts["sql"].chunks = [
        delta({"role": "assistant", field: "hm "}),
        delta({field: "yes"}),
        delta({"content": "42"}),
        delta({}, "stop"),
    ]
    found = chunks((await web.chat("sql 1", stream=True)).text)
    deltas = [chunk["choices"][0]["delta"] for chunk in found]
    assert "".join(d.get(field, "") for d in deltas) == "hm yes"
    assert said(found) == "42"


async def test_logprobs_stay_with_their_text(web: Web) -> None:
    """In the chunk that they came in."""
    tokens = [{"content": [{"token": text, "logprob": -0.5}]} for text in "ab"]
    web.experts["sql"].chunks = [
        delta({"role": "assistant", "content": ""}),
        delta({"content": "a"}, logprobs=tokens[0]),
        delta({"content": "b"}, logprobs=tokens[1]),
        delta({}, "stop"),
    ]
    found = chunks((await web.chat("sql 1", stream=True, logprobs=True)).text)
    told = [c["choices"][0] for c in found if "logprobs" in c["choices"][0]]
    pairs = [(choice["delta"]["content"], choice["logprobs"]) for choice in told]
    assert pairs == [("a", tokens[0]), ("b", tokens[1])]


async def test_a_refusal_is_streamed(web: Web) -> None:
    """A field of its own, as OpenAI has it."""
    web.experts["sql"].chunks = [delta({"refusal": "I can't."}), delta({}, "stop")]
    found = chunks((await web.chat("sql 1", stream=True)).text)
    assert "".join(c["choices"][0]["delta"].get("refusal", "") for c in found) == "I can't."


async def test_a_stream_without_usage_is_estimated_and_sends_none(web: Web) -> None:
    """By the pieces that came."""
    web.experts["sql"].usage = None
    response = await web.chat("sql 1", stream=True, stream_options={"include_usage": True})
    found = chunks(response.text)
    assert all("usage" not in chunk for chunk in found)
    outcome = found[-1]["collegium"]["outcome"]
    assert outcome["status"] == "ok"
    assert outcome["prompt_tokens"] > 0
    assert outcome["completion_tokens"] == 2


async def test_a_stream_that_ends_without_a_reason_has_its_outcome(web: Web) -> None:
    """On a chunk of its own, with no reason made up."""
    web.experts["sql"].chunks = [delta({"role": "assistant", "content": "hello"})]
    *_, last = chunks((await web.chat("sql 1", stream=True)).text)
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": None}]
    assert last["collegium"].keys() == {"outcome"}
    assert (last["collegium"]["outcome"]["status"], last["id"]) == ("ok", HEAD["id"])


async def test_an_answer_of_no_words_is_still_an_answer(web: Web) -> None:
    """An upstream that ends at once."""
    web.experts["sql"].chunks = [delta({"role": "assistant", "content": ""}), delta({}, "stop")]
    (only,) = chunks((await web.chat("sql 1", stream=True)).text)
    assert only["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert only["choices"][0]["finish_reason"] == "stop"
    assert only["collegium"].keys() == {"decision", "expert", "outcome"}
