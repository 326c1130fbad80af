"""Experts that speak the Responses API themselves: what they say is passed on as it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.experts.scripted_server import response
from tests.web.conftest import Serve
from tests.web.native_responses import (
    CALL,
    SAID,
    SERVES,
    STREAM,
    THOUGHT,
    USAGE,
    WHOLE,
    Json,
    Native,
    answered,
    both,
    final,
    grown,
    speaking,
    sse,
    streamed,
    text,
)
from tests.web.responses import FIND, PATCH, ask, said, stream

OURS = ("id", "created_at", "model", "output", "collegium", "store", "tools", "instructions")
SEARCH = {"type": "web_search"}
SEARCHED: Json = {
    "id": "ws_up",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}


@pytest.fixture
async def native(serve: Serve) -> AsyncIterator[Native]:
    """A service with such an expert."""
    async with speaking(serve) as native:
        yield native


@both
async def test_the_request_goes_on_as_it_came(native: Native, streams: bool) -> None:
    """But for the model's name, and what is kept here."""
    items = [{"role": "user", "content": [{"type": "input_text", "text": "sql 1"}]}]
    body: Json = {
        "instructions": "Be brief.",
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tools": [FIND],
        "metadata": {"a": "b"},
        "max_output_tokens": 50,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k",
        "future_field": {"x": 1},
    }
    ours = {"routing": {"priority": "urgent"}, "store": True, "user": None, "background": False}
    await final(native, items, streams=streams, **body, **ours)
    assert native.path == "responses"
    ours = {"model": "gpt-real", "stream": streams, "store": False}
    assert native.asked == body | {"input": items} | ours


@both
async def test_a_response_comes_back_as_it_is(native: Native, streams: bool) -> None:
    """Under our names, with our labels; what it took is accounted for."""
    body = await final(native, streams=streams, instructions="Be brief.")
    assert {k: v for k, v in body.items() if k in WHOLE and k not in OURS} == {
        k: v for k, v in WHOLE.items() if k not in OURS
    }
    assert (body["model"], body["store"], body["instructions"]) == ("native", True, "Be brief.")
    name = body["id"].removeprefix("resp_")
    prefixes = [f"rs_{name}_0", f"msg_{name}_1", f"fc_{name}_2"]
    assert [item["id"] for item in body["output"]] == prefixes
    unnamed = [{k: v for k, v in item.items() if k != "id"} for item in body["output"][1:]]
    assert unnamed == [{k: v for k, v in item.items() if k != "id"} for item in (SAID, CALL)]
    assert body["usage"] == USAGE
    outcome = await native.web.outcome(body["collegium"]["decision"]["id"])
    assert (outcome["prompt_tokens"], outcome["completion_tokens"]) == (100, 20)
    assert (outcome["cached_tokens"], outcome["reasoning_tokens"]) == (40, 5)
    assert outcome["estimated"] is False
    assert outcome["cost_usd"] > 0


async def test_events_come_back_as_they_are(native: Native) -> None:
    """In their order and with their fields, under our numbers and ids; no sign of life is one."""
    found = await stream(native.web, model="native")
    told = [event for event in STREAM if event["type"] != "keepalive"]
    assert [event["type"] for event in found] == [event["type"] for event in told]
    mine = ("sequence_number", "item_id", "item", "response", "collegium")
    for ours, theirs in zip(found, told, strict=True):
        kept = {k: v for k, v in ours.items() if k not in mine}
        assert kept == {k: v for k, v in theirs.items() if k not in mine}
    assert found[0]["response"]["model"] == "native"
    assert found[0]["collegium"]["expert"] == "native"
    assert said(found) == "hello there"
    assert said(found, "function_call_arguments") == '{"x": 1}'


LOGPROB: Json = {"token": "no", "bytes": [110, 111], "logprob": -0.5, "top_logprobs": []}
SOURCE: Json = {
    "type": "url_citation",
    "url": "https://example.com",
    "title": "A page",
    "start_index": 0,
    "end_index": 2,
}
COMMAND: Json = {"type": "exec", "command": ["ls"], "env": {}}
PATCHED: Json = {"id": "ctc_up", "type": "custom_tool_call", "call_id": "c", "status": "completed"}
LISTED: Json = {"id": "lsh_up", "type": "local_shell_call", "call_id": "c", "status": "completed"}
THINKING: Json = {"id": "rs_up", "type": "reasoning", "summary": [], "status": "completed"}


def told(**fields: Any) -> Json:
    """A message that says no, with more about it."""
    part = {"type": "output_text", "text": "no", "annotations": [], "logprobs": [], **fields}
    return {**SAID, "content": [part]}


def piece(kind: str, piece: str, **fields: Any) -> Json:
    """One delta."""
    return {"type": f"response.{kind}.delta", "delta": piece, **fields}


ITEMS: dict[str, tuple[Json, list[Json], Json]] = {
    "custom tool": (
        {**PATCHED, "name": "apply_patch", "input": "*** x"},
        [piece("custom_tool_call_input", "*** x")],
        {"tool_calls": [("apply_patch", '{"input": "*** x"}')]},
    ),
    "local shell": (
        {**LISTED, "action": COMMAND},
        [],
        {"tool_calls": [("local_shell_call", json.dumps(COMMAND))]},
    ),
    "function of a namespace": (
        {**CALL, "namespace": "people"},
        [piece("function_call_arguments", '{"x": 1}')],
        {"tool_calls": [("find", '{"x": 1}')]},
    ),
    "function that is told at once": (CALL, [], {"tool_calls": [("find", '{"x": 1}')]}),
    "refusal": (
        {**SAID, "content": [{"type": "refusal", "refusal": "I won't."}]},
        [piece("refusal", "I ", content_index=0), piece("refusal", "won't.", content_index=0)],
        {"refusal": "I won't."},
    ),
    "log-probabilities": (
        told(logprobs=[LOGPROB]),
        [piece("output_text", "no", content_index=0, logprobs=[LOGPROB])],
        {"content": "no"},
    ),
    "citation": (
        told(annotations=[SOURCE]),
        [piece("output_text", "no", content_index=0, logprobs=[])],
        {"content": "no"},
    ),
    "reasoning": (
        {**THINKING, "content": [{"type": "reasoning_text", "text": "Hm."}]},
        [piece("reasoning_text", "Hm.", content_index=0)],
        {"reasoning_content": "Hm."},
    ),
}


@both
@pytest.mark.parametrize("kind", list(ITEMS))
async def test_every_kind_of_item_comes_back(serve: Serve, kind: str, streams: bool) -> None:
    """As it is, under our id; the record has it as a chat would have told it."""
    item, deltas, recorded = ITEMS[kind]
    async with speaking(serve, settings={"record": "full"}) as native:
        native.upstream.says(answered(item), *grown(0, item, *deltas))
        body = await final(native, streams=streams)
        await native.web.parts.background.finish()
        path = f"/v1/decisions/{body['collegium']['decision']['id']}"
        (choice,) = (await native.web.http.get(path)).json()["answer"]["choices"]
    (found,) = body["output"]
    assert {**found, "id": item["id"]} == item
    assert found["id"].startswith(item["id"].partition("_")[0])
    calls = choice["message"].pop("tool_calls", [])
    functions = [(call["function"]["name"], call["function"]["arguments"]) for call in calls]
    assert choice["message"] | {"tool_calls": functions} == choice["message"] | {
        "tool_calls": [],
        **recorded,
    }


@both
async def test_reasoning_goes_back_to_who_thought_it(native: Native, streams: bool) -> None:
    """Under the id that it is bound to, however the caller sends it back; to nobody else."""
    body = await final(native, streams=streams)
    thought = body["output"][0]
    assert thought["encrypted_content"] != THOUGHT["encrypted_content"]
    assert thought["summary"] == THOUGHT["summary"]
    further = {"role": "user", "content": "sql 2"}
    for sent in (thought, {k: v for k, v in thought.items() if k != "id"}):  # Codex leaves it out
        await ask(native.web, [sent, further], model="native", store=False)
        assert native.asked["input"] == [THOUGHT, further]
    await ask(native.web, [thought, further], model="sql")
    other = {**thought, "encrypted_content": "00000000:rs_x:abc"}
    await ask(native.web, [other, further], model="native")
    assert native.asked["input"] == [further]
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA="}
    await ask(native.web, [own, further], model="native")
    assert native.asked["input"] == [own, further]


@both
async def test_a_conversation_is_sent_as_a_whole(native: Native, streams: bool) -> None:
    """What is kept is kept here: the expert is sent all items, and no name of a response."""
    first = await final(native, "sql 1", streams=streams)
    given = [{"type": "function_call_output", "call_id": "call_1", "output": "42"}]
    second = await final(native, given, streams=streams, previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert "previous_response_id" not in native.asked
    question, thought, answer, call, result = native.asked["input"]
    assert question["content"] == [{"type": "input_text", "text": "sql 1"}]
    assert "id" not in question
    assert thought == THOUGHT
    assert (answer["content"], call["arguments"]) == (SAID["content"], CALL["arguments"])
    assert result == given[0]


async def test_items_are_referred_to(native: Native) -> None:
    """By the ids that they have here."""
    first = await ask(native.web, "sql 1", model="native")
    names = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    result = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
    await ask(native.web, [*names, result], model="native")
    thought, answer, call, _ = native.asked["input"]
    assert thought == THOUGHT
    assert (answer["content"], call["name"]) == (SAID["content"], "find")


@both
async def test_hosted_tools_go_to_who_runs_them(native: Native, streams: bool) -> None:
    """With what is included of them; their calls come back, and stay in the conversation."""
    native.upstream.says(
        answered(SEARCHED, SAID), *grown(0, SEARCHED), *grown(1, SAID, *text("hello there"))
    )
    include = ["web_search_call.results"]
    body = await final(native, streams=streams, tools=[SEARCH, FIND], include=include)
    assert native.asked["tools"] == [SEARCH, FIND]
    assert native.asked["include"] == include
    assert [item["type"] for item in body["output"]] == ["web_search_call", "message"]
    assert "dropped" not in body["collegium"]["outcome"]
    await final(native, "sql 2", streams=streams, previous_response_id=body["id"])
    kinds = [item["type"] for item in native.asked["input"]]
    assert kinds == ["message", "web_search_call", "message", "message"]
    last = await ask(native.web, "sql 3", previous_response_id=body["id"], model="sql")
    sent = native.web.experts["sql"].asked[-1].body["messages"]
    assert [message["content"] for message in sent] == ["sql 1", "hello there", "sql 3"]
    assert last["collegium"]["outcome"]["dropped"] == ["web_search_call"]


@both
async def test_hosted_tools_are_left_out_for_all_others(serve: Serve, streams: bool) -> None:
    """And named, as everywhere."""
    async with speaking(serve, capabilities=SERVES) as native:
        include = ["web_search_call.results", "reasoning.encrypted_content"]
        body = await final(native, streams=streams, tools=[SEARCH], include=include)
        assert native.path == "responses"
        assert "tools" not in native.asked
        assert native.asked["include"] == ["reasoning.encrypted_content"]
        assert body["collegium"]["outcome"]["dropped"] == ["web_search"]


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ("sql 1", {"tools": [PATCH]}),
        (
            "sql 1",
            {
                "tools": [FIND],
                "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [FIND]},
            },
        ),
        ([{"role": "user", "content": [{"type": "input_file", "file_data": "x"}]}], {}),
        (
            [
                {"role": "assistant", "content": [{"type": "output_text", "text": ""}]},
                {"role": "user", "content": "sql 1"},
            ],
            {},
        ),
    ],
)
async def test_what_other_servers_do_not_read_goes_as_a_chat(
    serve: Serve, given: Any, fields: Json
) -> None:
    """And natively to who has the whole API."""
    async with speaking(serve, capabilities=SERVES) as native:
        body = await ask(native.web, given, model="native", **fields)
        assert native.path == "chat/completions"
        assert body["output"][0]["content"][0]["text"] == "as a chat"
    async with speaking(serve) as native:
        await ask(native.web, given, model="native", **fields)
        assert native.path == "responses"


async def test_an_answer_is_made_to_fit(serve: Serve) -> None:
    """As in a chat, and the change is named as this API calls it."""
    known = SERVES | {"max_output_tokens": 10, "reasoning": False, "parallel_tools": False}
    async with speaking(serve, capabilities=known) as native:
        body = await ask(
            native.web,
            model="native",
            max_output_tokens=50,
            reasoning={"effort": "low"},
            tools=[FIND],
            parallel_tool_calls=True,
        )
        assert native.path == "responses"
        assert native.asked["max_output_tokens"] == 10
        assert native.asked.keys().isdisjoint({"reasoning", "parallel_tool_calls"})
        assert "max_output_tokens=10" in body["collegium"]["outcome"]["adjusted"]


async def test_a_panel_asks_in_chats(native: Native) -> None:
    """Its members' answers are put together."""
    routing = {"experts_allow": ["native", "sql"], "k": 2}
    body = await ask(native.web, model="collegium/vote", routing=routing)
    assert body["status"] == "completed"
    assert {request.path for request in native.server.requests} == {"/v1/chat/completions"}


async def test_another_expert_may_answer_in_its_place(native: Native) -> None:
    """In a chat, where the native one fails before it has said anything."""
    failed = {**answered(status="failed"), "error": {"code": "server_error", "message": "x"}}
    routing = {"failover": True}
    for told in (response(503, body={"error": {}}), sse(streamed(failed)), sse(STREAM[:2])):
        native.upstream.whole = native.upstream.stream = told
        for streams in (False, True):
            body = await final(native, streams=streams, routing=routing)
            assert body["model"] != "native"
            assert body["output"][0]["content"][0]["text"].strip() == "hello there"


async def test_what_its_endpoint_lacks_is_asked_in_a_chat(native: Native) -> None:
    """A refusal of an item or a parameter is of this endpoint."""
    words = {"message": "Unsupported parameter: 'reasoning'", "code": "unsupported_parameter"}
    native.upstream.whole = response(400, body={"error": {**words, "param": "reasoning"}})
    body = await ask(native.web, model="native", reasoning={"effort": "low"})
    assert body["output"][0]["content"][0]["text"] == "as a chat"


@both
async def test_a_full_record_has_the_answer(serve: Serve, streams: bool) -> None:
    """In the shape of all other records."""
    async with speaking(serve, settings={"record": "full"}) as native:
        body = await final(native, streams=streams)
        await native.web.parts.background.finish()
        path = f"/v1/decisions/{body['collegium']['decision']['id']}"
        kept = (await native.web.http.get(path)).json()
    (choice,) = kept["answer"]["choices"]
    message = choice["message"]
    assert (message["content"], choice["finish_reason"]) == ("hello there", "tool_calls")
    function = message["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("find", {"x": 1})


async def test_an_expert_that_is_not_known_to_speak_it_gets_a_chat(serve: Serve) -> None:
    """Nothing is tried that may fail."""
    async with speaking(serve, capabilities={}) as native:
        body = await ask(native.web, model="native")
        assert body["output"][0]["content"][0]["text"] == "as a chat"
        assert native.path == "chat/completions"
