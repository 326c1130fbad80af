"""What callers of the Responses API get, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collegium.errors import ExpertError, ExpertUnavailable
from tests.web.conftest import Web
from tests.web.fakes import delta
from tests.web.responses import (
    FIND,
    PATCH,
    PATH,
    SHELL,
    argued,
    ask,
    asked,
    called,
    events_of,
    kinds,
    said,
    stream,
)


async def test_a_whole_response(web: Web) -> None:
    """With the usage in this API's shape, our labels, and the usual headers."""
    web.experts["sql"].usage = {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    answer = await web.http.post(PATH, json={"input": "sql 1", "metadata": {"a": "b"}})
    response = answer.json()
    assert response["object"] == "response"
    assert (response["status"], response["model"], response["store"]) == ("completed", "sql", True)
    (message,) = response["output"]
    assert (message["type"], message["role"], message["status"]) == (
        "message",
        "assistant",
        "completed",
    )
    part = {"type": "output_text", "text": "hello there", "annotations": [], "logprobs": []}
    assert message["content"] == [part]
    assert response["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 12,
    }
    assert response["metadata"] == {"a": "b"}
    assert response["collegium"]["decision"]["expert"] == "sql"
    assert response["collegium"]["outcome"]["completion_tokens"] == 5
    decision = response["collegium"]["decision"]["id"]
    assert answer.headers["x-collegium-decision-id"] == decision
    assert (await web.outcome(decision))["status"] == "ok"


async def test_a_streamed_response(web: Web) -> None:
    """Typed events in order; the decision on the first one and the outcome on the last."""
    found = await stream(web)
    assert kinds(found) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert said(found) == "hello there "
    assert found[0]["collegium"]["decision"]["expert"] == found[0]["collegium"]["expert"] == "sql"
    last = found[-1]
    assert last["collegium"]["outcome"]["completion_tokens"] == 2
    assert last["response"]["collegium"].keys() == {"decision", "outcome"}
    assert last["response"]["usage"]["total_tokens"] == 9
    assert last["response"]["output"][0]["content"][0]["text"] == "hello there "


async def test_whole_and_streamed_are_the_same_response(web: Web) -> None:
    """But for ids and times."""
    options: Any = {"instructions": "Be brief", "tools": [FIND], "reasoning": {"effort": "low"}}
    web.experts["sql"].says = "hello"
    whole = await ask(web, **options)
    streamed = (await stream(web, **options))[-1]["response"]
    assert whole.keys() == streamed.keys()
    for name in whole.keys() - {"id", "created_at", "output", "collegium"}:
        assert whole[name] == streamed[name], name


async def test_usage_that_nobody_told_is_counted(web: Web) -> None:
    """Clients read it without looking whether it is there."""
    web.experts["sql"].usage = None
    usage = (await stream(web))[-1]["response"]["usage"]
    assert usage["input_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_functions_are_called(web: Web) -> None:
    """Also several at once, whose arguments come by turns."""
    web.experts["sql"].chunks = [
        delta({"role": "assistant", "content": "I look."}),
        called("find", call_id="a"),
        called("find", call_id="b", index=1),
        argued('{"x"', 0),
        argued('{"y"', 1),
        argued(": 1}", 0),
        argued(": 2}", 1),
        delta({}, "tool_calls"),
    ]
    found = await stream(web, tools=[FIND])
    response = found[-1]["response"]
    message, first, second = response["output"]
    assert message["content"][0]["text"] == "I look."
    assert (first["call_id"], first["name"], first["arguments"]) == ("a", "find", '{"x": 1}')
    assert (second["call_id"], second["arguments"], second["status"]) == (
        "b",
        '{"y": 2}',
        "completed",
    )
    assert said([e for e in found if e.get("output_index") == 1], "function_call_arguments") == (
        '{"x": 1}'
    )
    names = [e["name"] for e in found if e["type"] == "response.function_call_arguments.done"]
    assert names == ["find", "find"]
    assert response["status"] == "completed"


async def test_a_whole_answer_calls_functions(web: Web) -> None:
    """As an upstream gives it at once."""
    function = {"name": "find", "arguments": "{}"}
    call = {"id": "a", "type": "function", "function": function}
    web.experts["sql"].choices = [
        {
            "index": 0,
            "message": {"role": "assistant", "content": None, "tool_calls": [call]},
            "finish_reason": "tool_calls",
        }
    ]
    (item,) = (await ask(web, tools=[FIND]))["output"]
    assert (item["type"], item["call_id"], item["arguments"]) == ("function_call", "a", "{}")


async def test_a_call_without_id_or_in_odd_pieces_is_whole(web: Web) -> None:
    """The name comes late, the arguments are an object."""
    web.experts["sql"].chunks = [
        delta({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}),
        delta({"tool_calls": [{"index": 0, "function": {"name": "find"}}]}),
        delta({"tool_calls": [{"index": 0, "function": {"arguments": {"x": 1}}}]}),
        delta({}, "tool_calls"),
    ]
    (item,) = (await stream(web, tools=[FIND]))[-1]["response"]["output"]
    assert (item["name"], json.loads(item["arguments"])) == ("find", {"x": 1})
    assert item["call_id"].startswith("call_")


@pytest.mark.parametrize(
    ("arguments", "text"), [('{"input": "*** Begin"}', "*** Begin"), ("*** Begin", "*** Begin")]
)
async def test_custom_tools_are_called_with_a_text(web: Web, arguments: str, text: str) -> None:
    """Whether the model keeps to the function's schema or writes the text itself."""
    web.experts["sql"].chunks = [
        called("apply_patch", arguments[:7]),
        argued(arguments[7:]),
        delta({}, "tool_calls"),
    ]
    found = await stream(web, tools=[PATCH])
    (item,) = found[-1]["response"]["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", text)
    assert said(found, "custom_tool_call_input") == text


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        (
            {"command": ["ls", "-a"], "timeout_ms": 9, "working_directory": "/tmp"},
            {"command": ["ls", "-a"], "timeout_ms": 9, "working_directory": "/tmp"},
        ),
        ({"command": "ls -a"}, {"command": ["bash", "-lc", "ls -a"]}),
        ({"command": [1]}, {"command": []}),
        ([], {"command": []}),
    ],
)
async def test_the_local_shell_is_called(web: Web, arguments: Any, action: Any) -> None:
    """A command that can't be read is none at all."""
    web.experts["sql"].chunks = [
        called("local_shell", json.dumps(arguments)),
        delta({}, "tool_calls"),
    ]
    (item,) = (await stream(web, tools=[SHELL]))[-1]["response"]["output"]
    assert item["type"] == "local_shell_call"
    assert item["action"] == {"type": "exec", "env": {}, **action}


async def test_tools_of_a_namespace(web: Web) -> None:
    """Have it in their functions' names, and beside their names in calls."""
    space = {"type": "namespace", "name": "crm", "description": "", "tools": [FIND, PATCH]}
    web.experts["sql"].chunks = [called("crm__find", "{}"), delta({}, "tool_calls")]
    choice = {"type": "function", "namespace": "crm", "name": "find"}
    found = await stream(web, model="sql", tools=[space], tool_choice=choice)
    names = [tool["function"]["name"] for tool in asked(web)["tools"]]
    assert names == ["crm__find", "crm__apply_patch"]
    assert asked(web)["tool_choice"]["function"]["name"] == "crm__find"
    (item,) = found[-1]["response"]["output"]
    assert (item["type"], item["namespace"], item["name"]) == ("function_call", "crm", "find")
    told = {"type": "function_call_output", "call_id": item["call_id"], "output": "found"}
    await ask(web, [{"role": "user", "content": "sql 1"}, item, told], model="sql")
    call = asked(web)["messages"][1]["tool_calls"][0]["function"]
    assert call == {"name": "crm__find", "arguments": "{}"}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("summary", [None, "auto"])
async def test_reasoning_is_an_item(web: Web, field: str, summary: str | None) -> None:
    """Before the message: as it came, or as the summary where one is asked for."""
    web.experts["sql"].chunks = [
        delta({"role": "assistant", field: "hm "}),
        delta({field: "yes"}),
        delta({"content": "42"}),
        delta({}, "stop"),
    ]
    options = {} if summary is None else {"reasoning": {"effort": "low", "summary": summary}}
    found = await stream(web, **options)
    thought, message = found[-1]["response"]["output"]
    kind = "reasoning_text" if summary is None else "summary_text"
    part = [{"type": kind, "text": "hm yes"}]
    shown = ([], part) if summary is None else (part, None)
    assert (thought["summary"], thought.get("content")) == shown
    assert said(found, "reasoning_text" if summary is None else "reasoning_summary_text") == (
        "hm yes"
    )
    assert message["content"][0]["text"] == said(found) == "42"
    part_event = "content_part" if summary is None else "reasoning_summary_part"
    assert kinds(found)[2:4] == ["output_item.added", f"{part_event}.added"]


async def test_a_refusal_is_a_part_of_its_own(web: Web) -> None:
    """Streamed and whole."""
    web.experts["sql"].chunks = [
        delta({"role": "assistant", "refusal": "I "}),
        delta({"refusal": "won't"}),
        delta({}, "stop"),
    ]
    found = await stream(web)
    refused = [{"type": "refusal", "refusal": "I won't"}]
    assert found[-1]["response"]["output"][0]["content"] == refused
    assert said(found, "refusal") == "I won't"
    web.experts["sql"].choices = [
        {
            "index": 0,
            "message": {"role": "assistant", "content": None, "refusal": "I won't"},
            "finish_reason": "stop",
        }
    ]
    assert (await ask(web))["output"][0]["content"] == refused


async def test_sources_are_cited(web: Web) -> None:
    """By the experts that search: a chat nests what this API has flat."""
    cited = {"url": "https://x.test", "title": "X", "start_index": 0, "end_index": 5}
    told = {"annotations": [{"type": "url_citation", "url_citation": cited}]}
    web.experts["sql"].chunks = [delta({"content": "hello"}), delta(told), delta({}, "stop")]
    found = await stream(web)
    shown = [{"type": "url_citation", **cited}]
    assert found[-1]["response"]["output"][0]["content"][0]["annotations"] == shown
    added = [e for e in found if e["type"] == "response.output_text.annotation.added"]
    assert [e["annotation"] for e in added] == shown
    web.experts["sql"].message = told
    assert (await ask(web))["output"][0]["content"][0]["annotations"] == shown


@pytest.mark.parametrize(
    ("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
async def test_an_answer_that_was_cut_is_incomplete(web: Web, reason: str, why: str) -> None:
    """The response says why, and so does its last item."""
    web.experts["sql"].chunks = [delta({"role": "assistant", "content": "a"}), delta({}, reason)]
    found = await stream(web)
    assert found[-1]["type"] == "response.incomplete"
    response = found[-1]["response"]
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": why})
    assert response["output"][0]["status"] == "incomplete"


async def test_an_empty_answer_is_an_empty_message(web: Web) -> None:
    """Clients take the first item for granted."""
    web.experts["sql"].chunks = [delta({"role": "assistant", "content": ""}), delta({}, "stop")]
    (message,) = (await stream(web))[-1]["response"]["output"]
    assert message["content"][0]["text"] == ""


async def test_logprobs_come_with_their_text(web: Web) -> None:
    """Where they are asked for."""
    told = {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    web.experts["sql"].chunks = [
        delta({"content": "a"}, logprobs={"content": [told]}),
        delta({}, "stop"),
    ]
    found = await stream(web, include=["message.output_text.logprobs"])
    shown = [{**told, "bytes": [97]}]
    assert found[-1]["response"]["output"][0]["content"][0]["logprobs"] == shown
    assert [e["logprobs"] for e in found if e["type"] == "response.output_text.delta"] == [shown]
    without = await stream(web)
    assert without[-1]["response"]["output"][0]["content"][0]["logprobs"] == []


async def test_a_failure_in_the_middle_is_told_twice(web: Web) -> None:
    """As an error, which OpenAI's library raises, and as a response that has failed."""
    web.experts["sql"].dies = ExpertError("sql", "broke")
    answer = await web.http.post(PATH, json={"input": "sql 1", "stream": True})
    found = events_of(answer.text)
    error, failed = found[-2:]
    assert (error["type"], error["code"], error["param"]) == ("error", "expert_error", None)
    assert error["error"]["message"] == error["message"]
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": error["message"]}
    assert said(found) == "hello "


async def test_a_failure_before_the_first_event_is_an_error(web: Web) -> None:
    """In OpenAI's shape, with the status of any request."""
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    answer = await web.http.post(PATH, json={"input": "sql 1", "model": "sql", "stream": True})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "expert_unavailable"


async def test_a_panel_answers_responses(web: Web) -> None:
    """Under the panel's name, with its calls among the labels."""
    routing = {"aggregate": "vote", "k": 2}
    whole = await ask(web, "sql 1", routing=routing)
    found = await stream(web, "sql 1", routing=routing)
    for response in (whole, found[-1]["response"]):
        assert response["collegium"]["panel"]["mode"] == "vote"
        assert response["output"][0]["content"][0]["text"].startswith("hello there")
    assert found[0]["response"]["model"] == found[-1]["response"]["model"]


async def test_sessions_and_applications_are_those_of_chats(web: Web) -> None:
    """By the same headers and the same metadata."""
    headers = {"x-session-id": "s1", "x-collegium-application": "desk"}
    answer = await web.http.post(PATH, json={"input": "sql 1"}, headers=headers)
    assert answer.headers["x-collegium-application"] == "desk"
    decision = answer.headers["x-collegium-decision-id"]
    await web.parts.background.finish()
    kept = (await web.http.get(f"/v1/decisions/{decision}")).json()["decision"]
    assert kept["session"] == "s1"


async def test_input_tokens_are_counted_before_anything_is_asked(web: Web) -> None:
    """Of all that an expert would read."""
    body = {"input": "sql 1", "instructions": "Be brief", "tools": [FIND]}
    counted = (await web.http.post(f"{PATH}/input_tokens", json=body)).json()
    assert counted["object"] == "response.input_tokens"
    fewer = (await web.http.post(f"{PATH}/input_tokens", json={"input": "sql 1"})).json()
    assert counted["input_tokens"] > fewer["input_tokens"] > 0
    told = [
        await web.http.post(path, json=body | {"model": "no-such"})
        for path in (f"{PATH}/input_tokens", PATH)
    ]
    assert told[0].json() == told[1].json()
    assert (told[0].status_code, told[0].json()["error"]["code"]) == (404, "model_not_found")
    assert web.experts["sql"].asked == []
