"""What is wrong with a body, in plain words and by the caller's names."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.web.conftest import Web, on_shared

HELLO = {"role": "user", "content": "sql 1"}
PICTURE = {"url": "data:image/png;base64,AAAA"}


async def ask(web: Web, body: Any, path: str = "/v1/chat/completions") -> httpx.Response:
    return await web.http.post(path, json=body)


def said(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


@on_shared
@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        (
            said(5),
            "messages[0].content",
            "messages[0].content must be a string or a list, not an integer",
        ),
        (
            said({"text": "a"}),
            "messages[0].content",
            "messages[0].content must be a string or a list, not an object",
        ),
        (
            said(["a"]),
            "messages[0].content[0]",
            "messages[0].content[0] must be an object, not a string",
        ),
        (
            said([{"type": "text"}]),
            "messages[0].content[0].text",
            "messages[0].content[0].text is missing: parts of type 'text' require it",
        ),
        (
            said([{"type": "text", "text": "a"}, {"type": "image_url", "url": "x"}]),
            "messages[0].content[1].image_url",
            "messages[0].content[1].image_url is missing: parts of type 'image_url' require it",
        ),
        (
            said([{"type": "text", "text": 5}]),
            "messages[0].content[0].text",
            "messages[0].content[0].text must be a string, not an integer",
        ),
        (said([{"image_url": PICTURE}]), "messages[0].content[0].type", "is missing"),
        ({"messages": [{"content": "a"}]}, "messages[0].role", "messages[0].role is missing"),
        (
            {"messages": [{"role": "bot", "content": "a"}]},
            "messages[0].role",
            "must be one of 'system', 'developer', 'user', 'assistant', 'tool' or 'function', "
            "not 'bot'",
        ),
        ({}, "messages", "messages is missing"),
        ({"messages": []}, "messages", "messages must not be empty"),
        ({"messages": "hello"}, "messages", "messages must be a list, not a string"),
        ({"messages": ["hello"]}, "messages[0]", "messages[0] must be an object, not a string"),
        ([HELLO], "body", "body must be an object, not a list"),
        (
            {"messages": [HELLO], "temperature": 3},
            "temperature",
            "temperature must be at most 2.0, not 3",
        ),
        ({"messages": [HELLO], "n": "2"}, "n", "n must be an integer, not a string"),
        ({"messages": [HELLO], "n": 1.5}, "n", "n must be an integer, not a number"),
        *(
            (
                said([{"type": kind, kind: {field: wrong}}]),
                f"messages[0].content[0].{kind}.{field}",
                f"{kind}.{field} must be a string, not {words}",
            )
            for kind, field in (
                ("image_url", "url"),
                ("input_audio", "data"),
                ("file", "file_data"),
            )
            for wrong, words in ((5, "an integer"), (["x"], "a list"), ({}, "an object"))
        ),
        (
            said([{"type": "image_url", "image_url": {"url": None}}]),
            "messages[0].content[0].image_url.url",
            "image_url.url must be a string, not null",
        ),
        (
            said([{"type": "image_url", "image_url": {}}]),
            "messages[0].content[0].image_url.url",
            "image_url.url is missing",
        ),
        (
            said([{"type": "image_url", "image_url": 5}]),
            "messages[0].content[0].image_url",
            "image_url must be an object, not an integer",
        ),
        (
            {"messages": [HELLO], "max_tokens": 1e30},
            "max_tokens",
            "max_tokens must be an integer of at least 1 and less than 2147483648, written without "
            "a point or an exponent, not 1e+30",
        ),
        ({"messages": [HELLO], "n": 2.0}, "n", "of at least 1 and at most 16"),
        (
            {"messages": [HELLO], "routing": {"panel": {"max_calls": 1e30}}},
            "routing.panel.max_calls",
            "less than 2147483648",
        ),
        (
            {"messages": [HELLO], "max_tokens": 10**30},
            "max_tokens",
            "max_tokens must be less than 2147483648, not an integer of more than 18 digits",
        ),
        (
            {"messages": [HELLO], "stop": 5},
            "stop",
            "stop must be a string or a list, not an integer",
        ),
        ({"messages": [HELLO], "stop": ["a", 5]}, "stop[1]", "must be a string, not an integer"),
        (
            {"messages": [HELLO], "response_format": "json"},
            "response_format",
            "response_format must be an object, not a string",
        ),
        (
            {"messages": [HELLO], "routing": {"max_cost": 1}},
            "routing.max_cost",
            "routing.max_cost is not a known field; did you mean routing.max_cost_usd?",
        ),
        (
            {"messages": [HELLO], "routing": {"panel": {"quorums": 1}}},
            "routing.panel.quorums",
            "did you mean routing.panel.quorum?",
        ),
        (
            {"messages": [HELLO], "routing": {"zzz": 1}},
            "routing.zzz",
            "available: max_cost_usd, max_latency_ms",
        ),
        (
            {"messages": [HELLO], "routing": "cheap"},
            "routing",
            "routing must be an object, not a string",
        ),
        (
            {"messages": [HELLO], "temperature": "hot", "seed": "x"},
            "temperature",
            "temperature must be a number, not a string; seed must be an integer, not a string",
        ),
    ],
    ids=str,
)
async def test_what_is_wrong_is_said_plainly(
    shared: Web, body: Any, param: str, message: str
) -> None:
    """The field as the caller wrote it, what it has to be, and what it was."""
    answer = await ask(shared, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


@on_shared
@pytest.mark.parametrize("huge", [10**30, -(10**30), 1e308])
async def test_a_number_that_is_far_too_large_is_not_repeated(shared: Web, huge: float) -> None:
    """It may have a thousand digits."""
    message = (await ask(shared, {"messages": [HELLO], "n": huge})).json()["error"]["message"]
    assert message.startswith("n must be")
    assert "000000" not in message


@on_shared
async def test_other_routes_speak_alike(shared: Web) -> None:
    """Those of administration, of queries and of bulk jobs."""
    expert = await ask(shared, {"name": "a", "kinds": "openai"}, "/v1/experts")
    assert "did you mean kind?" in expert.json()["error"]["message"]
    query = await shared.http.get("/v1/decisions?limit=many")
    assert query.json()["error"]["message"] == "limit must be an integer, not a string"


OPTIONAL = {
    "stream", "stream_options", "n", "temperature", "top_p", "max_tokens", "stop", "seed",
    "max_completion_tokens", "response_format", "tools", "tool_choice", "routing", "model",
    "parallel_tool_calls", "logprobs", "user", "metadata", "frequency_penalty", "logit_bias",
}  # fmt: skip
ROUTING = {
    "max_cost_usd", "max_latency_ms", "min_quality", "tradeoff", "experts_allow", "k",
    "experts_deny", "aggregate", "panel", "priority", "failover", "hedge", "wait_penalty",
}  # fmt: skip
PANEL = ("quorum", "samples", "seed", "weights", "by", "threshold", "layers", "show_members")


async def test_null_is_the_default_of_every_optional_field(web: Web) -> None:
    """Many clients send all fields that they know; experts get what was set."""
    answer = await ask(web, {"messages": [HELLO], **dict.fromkeys(OPTIONAL)})
    assert answer.status_code == 200, answer.text
    assert web.experts["sql"].asked[0].body == {"messages": [HELLO]}
    answer = await ask(web, {"messages": [HELLO], "routing": dict.fromkeys(ROUTING)})
    assert answer.status_code == 200, answer.text
    routing = {"aggregate": "vote", "panel": dict.fromkeys(PANEL)}
    answer = await ask(web, {"messages": [HELLO], "routing": routing})
    assert answer.status_code == 200, answer.text
    usage = {"stream": True, "stream_options": {"include_usage": None}}
    assert (await ask(web, {"messages": [HELLO], **usage})).status_code == 200


@on_shared
async def test_parts_that_we_do_not_know_are_for_the_expert(shared: Web) -> None:
    """As `video_url`."""
    video = {"type": "video_url", "video_url": {"url": "https://a.example/b.mp4"}}
    answer = await ask(shared, said([{"type": "text", "text": "sql 1"}, video]))
    assert answer.status_code == 200
    shared.experts["sql"].asked.clear()


@on_shared
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
async def test_what_is_not_finite_is_named(shared: Web, number: str) -> None:
    """It is a number, but not one that can be sent on."""
    body = f'{{"messages": [{json.dumps(HELLO)}], "temperature": {number}}}'
    headers = {"content-type": "application/json"}
    answer = await shared.http.post("/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message == "temperature must be a finite number, not NaN or infinity"
