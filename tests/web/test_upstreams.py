"""Experts behind real connections that refuse, limit, break off: what their callers get."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from collegium.registry.expert import Expert
from tests.experts.behaviours import (
    BEHAVIOURS,
    HELLO,
    USUAL,
    WHOLE,
    Behaviour,
    chunk,
    error,
    sse,
    stream,
)
from tests.experts.scripted_server import Raw, Request, Scripted, response, scripted
from tests.web.conftest import Serve, Web
from tests.web.reading import chunks, events, said

both_ways = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
ODD = {"model": "odd", "routing": {"failover": True}}


@asynccontextmanager
async def odd(
    serve: Serve, respond: Callable[[Request], Raw], **fields: Any
) -> AsyncIterator[tuple[Web, Scripted]]:
    """A service that knows one more expert, `odd`, behind a real server."""
    async with scripted(respond) as server:
        prices = {"input_price": 1.0, "output_price": 1.0}
        expert = Expert("odd", "openai", "odd-1", base_url=server.url, **{**prices, **fields})
        async with serve(experts=[expert]) as web:
            web.experts.real.add("odd")
            yield web, server


async def asked(web: Web, streams: bool, **fields: Any) -> tuple[int, str, str]:
    """The status of an answer, who gave it, and what it says: or its error's code."""
    got = await web.chat("sql 1", stream=streams, **{**ODD, **fields})
    speaker = got.headers.get("x-collegium-expert", "")
    if not streams or got.status_code != 200:
        body = got.json()
        found = body["error"]["code"] if "error" in body else body["choices"][0]["message"]
        return got.status_code, speaker, found if isinstance(found, str) else found["content"]
    *before, last = events(got.text)
    if last == "[DONE]":
        return got.status_code, speaker, said(before)
    return got.status_code, speaker, last["error"]["code"]


@both_ways
@pytest.mark.parametrize("name", [n for n, b in BEHAVIOURS.items() if "surrogate" not in n])
async def test_nobody_notices_an_odd_upstream(serve: Serve, name: str, streams: bool) -> None:
    """It answers, or another does; only who has said something already can't be replaced."""
    behaviour = BEHAVIOURS[name]
    async with odd(serve, behaviour.respond) as (web, _):
        status, speaker, found = await asked(web, streams)
        counted = web.parts.pool.dispatcher._shared.circuit("odd").failures
    if behaviour.code == "content_filter":
        assert (status, found) == (400, "content_filter")
    elif not behaviour.code:
        assert (status, speaker, found) == (200, "odd", HELLO)
    elif streams and behaviour.begins:
        assert (status, speaker, found) == (200, "odd", behaviour.code)
    else:
        assert (status, speaker, found.strip()) == (200, "sql", "hello there")
    assert bool(counted) == (bool(behaviour.code) and behaviour.counts)


@both_ways
async def test_half_a_surrogate_pair_is_passed_on(serve: Serve, streams: bool) -> None:
    """As JSON can tell it; nothing breaks on its way."""
    async with odd(serve, BEHAVIOURS["half a surrogate pair"].respond) as (web, _):
        got = await web.chat("sql 1", stream=streams, **ODD)
        assert got.status_code == 200
        assert "Hello" in got.text
        assert '"error":{' not in got.text


@both_ways
async def test_who_always_dies_in_mid_stream_is_left_alone(serve: Serve, streams: bool) -> None:
    """Each death counts when it happens, and an answer that has begun is no success yet."""
    async with odd(serve, BEHAVIOURS["cut in the middle"].respond) as (web, server):
        for _ in range(5):
            await asked(web, streams)
        assert web.parts.pool.dispatcher.circuits()["odd"] == "open"
        assert (await asked(web, streams))[1] == "sql"
        assert len(server.requests) == 5


@both_ways
async def test_a_rate_limit_is_kept_to(serve: Serve, streams: bool) -> None:
    """The provider is left alone as long as it wants, and its own word is passed on."""
    async with odd(serve, BEHAVIOURS["429"].respond) as (web, server):
        alone = {"routing": {"failover": False}}
        for _ in range(3):
            got = await web.chat("sql 1", stream=streams, model="odd", **alone)
            assert (got.status_code, got.headers["retry-after"]) == (429, "17")
            assert got.json()["error"]["code"] == "rate_limit_exceeded"
            assert got.json()["error"]["type"] == "rate_limit_error"
        assert len(server.requests) == 1
        assert (await asked(web, streams))[:2] == (200, "sql")
        assert len(server.requests) == 1


async def test_the_soonest_retry_is_told_when_all_are_limited(serve: Serve) -> None:
    """Whoever said it."""
    async with odd(serve, BEHAVIOURS["429"].respond) as (web, _):
        for name in ("sql", "lists", "general"):
            web.experts[name].refuses = _limited(name, 40)
        got = await web.chat("sql 1", **ODD)
        assert (got.status_code, got.headers["retry-after"]) == (429, "17")
        assert "'sql': rate_limit_exceeded" in got.json()["error"]["message"]


def _limited(name: str, seconds: int) -> Exception:
    from collegium.errors import RateLimited

    return RateLimited(name, "is limited", seconds)


def refuses_field(name: str, message: str, **fields: Any) -> Callable[[Request], Raw]:
    """An upstream that answers only who does not send a field."""

    def respond(request: Request) -> Raw:
        if name in request.json():
            return response(400, body=error(message, **fields))
        return USUAL if request.json().get("stream") else WHOLE

    return respond


@both_ways
async def test_a_parameter_that_is_not_taken_is_dropped_and_named(
    serve: Serve, streams: bool
) -> None:
    """In a header and in the labels; it is learned once."""
    respond = refuses_field("store", "Unknown parameter: 'store'.", param="store")
    async with odd(serve, respond) as (web, server):
        for number in (2, 3):
            got = await web.chat("sql 1", stream=streams, store=True, **ODD)
            assert got.headers["x-collegium-expert"] == "odd"
            assert got.headers["x-collegium-dropped"] == "store"
            assert len(server.requests) == number
        labels = (chunks(got.text)[-1] if streams else got.json())["collegium"]
        assert labels["outcome"]["dropped"] == ["store"]
        if streams:
            assert chunks(got.text)[0]["collegium"]["dropped"] == ["store"]
        plain = await web.chat("sql 1", stream=streams, **ODD)
        assert "x-collegium-dropped" not in plain.headers


async def test_a_limit_goes_by_its_other_name(serve: Serve) -> None:
    """Nothing is dropped by that; it is learned once."""
    words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    respond = refuses_field("max_tokens", words, code="unsupported_parameter", param="max_tokens")
    async with odd(serve, respond) as (web, server):
        for number in (2, 3):
            got = await web.chat("sql 1", max_tokens=8, **ODD)
            assert got.headers["x-collegium-expert"] == "odd"
            assert "x-collegium-dropped" not in got.headers
            assert server.requests[-1].json()["max_completion_tokens"] == 8
            assert len(server.requests) == number


async def test_several_parameters_are_refused_one_by_one(serve: Serve) -> None:
    """As reasoning models do."""

    def respond(request: Request) -> Raw:
        for name in ("max_tokens", "temperature", "store"):
            if name in request.json():
                words = f"Unsupported parameter: '{name}' is not supported with this model."
                return response(400, body=error(words, code="unsupported_parameter", param=name))
        return WHOLE

    async with odd(serve, respond) as (web, server):
        got = await web.chat("sql 1", max_tokens=8, temperature=0.5, store=True, **ODD)
        assert got.headers["x-collegium-dropped"] == "store, temperature"
        assert server.requests[-1].json().keys() == {"messages", "max_completion_tokens", "model"}


async def test_a_developer_is_a_system_where_that_is_all_there_is(serve: Serve) -> None:
    """The same words in the same place."""

    def respond(request: Request) -> Raw:
        if any(m["role"] == "developer" for m in request.json()["messages"]):
            return response(400, body=error("unknown variant `developer`, expected `system`"))
        return WHOLE

    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "sql"}]
    async with odd(serve, respond) as (web, server):
        for number in (2, 3):
            got = await web.http.post("/v1/chat/completions", json={"messages": messages, **ODD})
            assert got.headers["x-collegium-expert"] == "odd"
            assert server.requests[-1].json()["messages"][0] == {**messages[0], "role": "system"}
            assert len(server.requests) == number


async def test_content_in_parts_becomes_a_text_where_that_is_all_there_is(serve: Serve) -> None:
    """Where all parts are texts."""

    def respond(request: Request) -> Raw:
        if isinstance(request.json()["messages"][0]["content"], list):
            return response(400, body=error("messages[0].content must be a string"))
        return WHOLE

    parts = [{"type": "text", "text": "sql"}, {"type": "text", "text": "1"}]
    body = {"messages": [{"role": "user", "content": parts}], **ODD}
    async with odd(serve, respond) as (web, server):
        got = await web.http.post("/v1/chat/completions", json=body)
        assert got.headers["x-collegium-expert"] == "odd"
        assert server.requests[-1].json()["messages"][0]["content"] == "sql\n1"


MEANT = {
    "response_format": {"type": "json_object"},
    "tools": [{"type": "function", "function": {"name": "find"}}],
    "n": 2,
    "logprobs": True,
    "stop": ["."],
}


@pytest.mark.parametrize("name", MEANT)
async def test_what_the_answer_depends_on_is_never_dropped(serve: Serve, name: str) -> None:
    """Another expert answers; where the first was named and nobody may, the error names it."""
    words = f"Unsupported parameter: '{name}' is not supported with this model."
    respond = refuses_field(name, words, code="unsupported_parameter", param=name)
    async with odd(serve, respond) as (web, server):
        asked_for = {name: MEANT[name]}
        got = await web.chat("sql 1", **ODD, **asked_for)
        assert got.headers["x-collegium-expert"] == "sql"
        assert "x-collegium-dropped" not in got.headers
        assert len(server.requests) == 1
        refused = await web.chat("sql 1", model="odd", **asked_for)
        told = refused.json()["error"]
        assert (refused.status_code, told["code"], told["param"]) == (
            400,
            "capability_missing",
            name,
        )


async def test_stream_options_are_ours_to_drop(serve: Serve) -> None:
    """An upstream that does not know them streams without."""
    respond = refuses_field("stream_options", "Unknown parameter: 'stream_options'.")
    async with odd(serve, respond) as (web, _):
        got = await web.chat("sql 1", stream=True, **ODD)
        assert got.headers["x-collegium-expert"] == "odd"
        assert "x-collegium-dropped" not in got.headers


async def test_an_operators_problem_is_not_told(serve: Serve) -> None:
    """A key that expired is no 401 of the caller's, and nobody reads about it but the log."""
    async with odd(serve, BEHAVIOURS["401"].respond) as (web, _):
        got = await web.chat("sql 1", model="odd")
        assert (got.status_code, got.json()["error"]["code"]) == (502, "expert_misconfigured")
        assert "key" not in got.text.lower()


async def test_a_model_that_is_gone_raises_an_alarm(serve: Serve) -> None:
    """Once, however often it is asked for."""
    async with odd(serve, BEHAVIOURS["404"].respond) as (web, _):
        for _ in range(2):
            assert (await asked(web, False))[1] == "sql"
        await web.parts.background.finish()
        alarms = (await web.http.get("/v1/alarms")).json()["data"]
        assert [(a["kind"], a["expert"]) for a in alarms] == [("model_gone", "odd")]


async def test_a_missing_capability_is_learned(serve: Serve) -> None:
    """By the router, so that the next request with an image goes elsewhere at once."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "sql"}, image]}]}
    async with odd(serve, BEHAVIOURS["images"].respond) as (web, server):
        got = await web.http.post("/v1/chat/completions", json={**body, **ODD})
        assert got.status_code == 200, got.text
        experts = await web.parts.registry.list()
        learned, (caller,) = web.parts.pool.learned, {"127.0.0.1"}
        assert learned.lacking(experts, caller) == {"odd": frozenset({"images"})}
        assert learned.lacking(experts, "another") == {}
        assert len(server.requests) == 1


async def test_attempts_that_came_to_nothing_are_paid_for(serve: Serve) -> None:
    """An upstream that took the request and died bills what it read."""
    async with odd(serve, BEHAVIOURS["closed before a word"].respond, input_price=1e5) as (web, _):
        got = await web.chat("sql 1", stream=True, **ODD)
        labels = chunks(got.text)[-1]["collegium"]["outcome"]
        assert labels["expert"] == "sql"
        assert labels["cost_usd"] > 0.1
        kept = await web.outcome(chunks(got.text)[0]["collegium"]["decision"]["id"])
        assert kept["cost_usd"] == labels["cost_usd"]


async def test_a_limit_on_cost_counts_attempts_that_came_to_nothing(serve: Serve) -> None:
    """Nobody else is asked when the rest does not pay for it."""
    routing = {"failover": True, "max_cost_usd": 2.0}
    async with odd(serve, BEHAVIOURS["closed before a word"].respond, input_price=1e5) as (web, _):
        got = await web.chat("sql 1", stream=True, model="odd", routing=routing)
        assert got.status_code == 200
        routing["max_cost_usd"] = got_cost(got.text)
        refused = await web.chat("sql 1", stream=True, model="odd", routing=routing)
        assert refused.status_code in (422, 503)


def got_cost(text: str) -> float:
    """What a streamed answer cost without the last cent's part of who answered."""
    return float(chunks(text)[-1]["collegium"]["outcome"]["cost_usd"]) - 1e-9


async def test_tool_calls_of_careless_upstreams_suit_the_official_client(serve: Serve) -> None:
    """Each has its index, its id and its name once: the client adds up what it gets."""
    pieces = itertools.chain.from_iterable(
        [
            {"id": id, "function": {"name": "find", "arguments": '{"x"'}},
            {"id": id, "function": {"name": "find", "arguments": ": 1}"}},
        ]
        for id in ("a", "b")
    )
    told = [chunk({"tool_calls": [piece]}) for piece in pieces]
    text = sse(chunk({"role": "assistant"}), *told, chunk({}, "tool_calls"))
    behaviour = Behaviour(WHOLE, stream(text))
    async with odd(serve, behaviour.respond) as (web, _):
        got = await web.chat("sql 1", stream=True, **ODD)
    deltas = [
        call
        for each in chunks(got.text)
        for choice in each["choices"]
        for call in choice["delta"].get("tool_calls") or []
    ]
    assert [d["index"] for d in deltas] == [0, 0, 1, 1]
    assert [d.get("id") for d in deltas] == ["a", None, "b", None]
    assert [d["function"].get("name") for d in deltas] == ["find", None, "find", None]
    assert json.loads("".join(d["function"]["arguments"] for d in deltas[:2])) == {"x": 1}
