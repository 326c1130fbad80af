"""The HTTP client: answers, streams, and every way in which an expert can fail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from collegium.errors import (
    CollegiumError,
    ExpertError,
    ExpertMisconfigured,
    ExpertRejected,
    ExpertUnavailable,
    ModelGone,
    PromptTooLong,
    RateLimited,
)
from collegium.experts.clients.events import Began, Finish, Other, Text, Usage
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call, Fold
from tests.experts.clients.asking import BODY, TINY, Asking, both_ways, streamed, whole
from tests.experts.scripted_server import Raw, Request, Respond, response, scripted

MESSAGE: dict[str, Any] = {
    "role": "assistant",
    "content": "Hello",
    "refusal": None,
    "tool_calls": [],
}
ANSWER = {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": None}]}
CHUNK = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}

Serve = Callable[..., Awaitable[HttpExpert]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Make an expert whose server always gives one response, or calls a function for it."""
    async with AsyncExitStack() as stack:

        async def start(answer: Raw | Respond, **options: Any) -> HttpExpert:
            respond = answer if callable(answer) else lambda _: answer
            server = await stack.enter_async_context(scripted(respond))
            client = HttpExpert("tiny", f"{server.url}/", "tiny-1", **options)
            return await stack.enter_async_context(aclosing(client))

        yield start


def events(*data: Any, end: str = "data: [DONE]\n\n") -> Raw:
    """A stream of events."""
    lines = [f"data: {d if isinstance(d, str) else json.dumps(d)}\n\n" for d in data]
    return response(text="".join(lines) + end)


async def test_a_whole_answer_is_asked_for_and_returned(serve: Serve) -> None:
    """The body passes as it is, but for the model's name; the key is a bearer token."""
    seen: list[Request] = []

    def respond(request: Request) -> Raw:
        seen.append(request)
        return response(body={**ANSWER, "id": "1", "model": "tiny-1", "usage": USAGE})

    found = await whole(await serve(respond, api_key="s3cret"))
    assert found == {**ANSWER, "id": "1", "usage": USAGE}
    assert (seen[0].method, seen[0].path) == ("POST", "/v1/chat/completions")
    assert seen[0].json() == {**BODY, "model": "tiny-1"}
    assert seen[0].headers["authorization"] == "Bearer s3cret"
    assert seen[0].headers["content-type"] == "application/json"


async def test_a_stream_yields_each_event_until_done(serve: Serve) -> None:
    """Comments, event names and blank lines are passed over, and so is all after the end."""
    text = (
        ": ping\n\nevent: message\n"
        'data: {"id": "1", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
        f'data:{{"choices": [], "usage": {json.dumps(USAGE)}}}\r\n\r\n'
        "data: [DONE]\n\ndata: rubbish\n\n"
    )
    assert await streamed(await serve(response(200, text=text))) == [
        Began("tiny", {"id": "1"}),
        Text("Hi"),
        Usage(USAGE),
    ]


async def test_a_stream_asks_for_a_stream(serve: Serve) -> None:
    """Whatever the body says."""
    bodies: list[Any] = []

    def respond(request: Request) -> Raw:
        bodies.append(request.json())
        return events(CHUNK)

    await streamed(await serve(respond))
    assert bodies[0]["stream"] is True
    assert bodies[0]["stream_options"] == {"include_usage": True}


async def test_half_a_stream_is_an_error_after_what_came(serve: Serve) -> None:
    """The chunks before the break are yielded, then the caller learns that it broke."""
    client = await serve(events(CHUNK, end=""))
    async with client.ask(Call(TINY, BODY, stream=True)) as reply:
        await reply.begin("tiny")
        assert [await anext(reply), await anext(reply)] == [Began("tiny"), Text("Hi")]
        with pytest.raises(ExpertUnavailable, match="middle of the answer"):
            await anext(reply)


async def test_a_stream_without_an_answer_is_an_error(serve: Serve) -> None:
    """A bare end is no empty success."""
    with pytest.raises(ExpertError, match="ended without an answer"):
        await streamed(await serve(events()))


async def test_an_end_without_a_line_end_is_an_end(serve: Serve) -> None:
    """The last line need not be closed."""
    found = await streamed(await serve(events(CHUNK, end="data: [DONE]")))
    assert found == [Began("tiny"), Text("Hi")]


async def test_a_whole_answer_to_a_stream_is_taken_as_it_is(serve: Serve) -> None:
    """Some servers ignore `stream`."""
    client = await serve(response(200, body=ANSWER))
    assert await streamed(client) == [
        Began("tiny"),
        Text("Hello"),
        Other({"refusal": None, "tool_calls": []}),
        Finish("stop", extra={"logprobs": None}),
    ]


@pytest.mark.parametrize("error", [{"message": "out of memory"}, "out of memory"])
async def test_an_error_event_in_a_stream_is_an_error(serve: Serve, error: Any) -> None:
    """With the words of the expert, for the operator."""
    with pytest.raises(ExpertError, match="expert 'tiny'") as info:
        await streamed(await serve(events({"choices": []}, {"error": error})))
    assert info.value.detail == "out of memory"
    assert "memory" not in str(info.value)


async def test_an_error_in_a_whole_answer_is_an_error(serve: Serve) -> None:
    """Even under status 200, as some servers answer."""
    with pytest.raises(ExpertError, match="answered with an error") as info:
        await whole(await serve(response(200, body={"error": {"message": "out of memory"}})))
    assert info.value.detail == "out of memory"


async def test_an_error_field_that_is_null_is_no_error(serve: Serve) -> None:
    """As some servers write it in every answer."""
    ok = {**ANSWER, "error": None}
    assert await whole(await serve(response(200, body=ok))) == ANSWER
    found = await streamed(await serve(events({**CHUNK, "error": None})))
    assert found == [Began("tiny"), Text("Hi")]


@both_ways
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ExpertRejected),
        (404, ModelGone),
        (413, PromptTooLong),
        (422, ExpertRejected),
        (429, RateLimited),
        (301, ExpertError),
        (401, ExpertMisconfigured),
        (403, ExpertMisconfigured),
        (500, ExpertError),
        (502, ExpertUnavailable),
        (503, ExpertUnavailable),
        (504, ExpertUnavailable),
    ],
)
async def test_a_status_becomes_an_error_with_the_experts_words(
    serve: Serve, ask: Asking, status: int, kind: type[CollegiumError]
) -> None:
    """A refusal keeps its status; what is the service's own fault does not become the caller's.

    Callers read the words only of refusals that they can mend.
    """
    refusal = response(status, body={"error": {"message": "because", "type": "x"}})
    with pytest.raises(CollegiumError) as info:
        await ask(await serve(refusal))
    assert type(info.value) is kind
    assert "because" in info.value.whole
    assert ("because" in info.value.public) == (status in (400, 413, 422))
    if kind is ExpertRejected:
        assert info.value.http_status == status
    else:
        assert info.value.http_status == {413: 400, 429: 429}.get(status, info.value.http_status)
        assert (info.value.http_status < 500) == (status in (413, 429))


@both_ways
@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 2048 tokens.",
        "The decoder prompt (length 9000) is longer than the maximum model length of 2048.",
        "code: context_length_exceeded",
    ],
)
async def test_a_prompt_that_does_not_fit_is_told_apart(
    serve: Serve, ask: Asking, message: str
) -> None:
    """The caller can mend that, whichever words the server has for it."""
    with pytest.raises(PromptTooLong, match="too long for 'tiny'") as info:
        await ask(await serve(response(400, body={"error": {"message": message}})))
    assert (info.value.http_status, info.value.param) == (400, "messages")


@both_ways
@pytest.mark.parametrize(
    ("text", "told"), [("<h1>Bad</h1>", "Bad"), ("", "Internal Server Error"), ("[1]", "[1]")]
)
async def test_an_error_without_our_shape_is_told_as_it_is(
    serve: Serve, ask: Asking, text: str, told: str
) -> None:
    """A proxy's page, or nothing but a status."""
    with pytest.raises(ExpertError) as info:
        await ask(await serve(response(500, text=text)))
    assert told in info.value.whole


@pytest.mark.parametrize(
    "text", ["<html>", "", "[]", '"text"', "null", "{}", '{"choices": []}', '{"choices": 5}']
)
async def test_a_whole_answer_that_is_none_is_an_error(serve: Serve, text: str) -> None:
    """No JSON, no object, or none with choices."""
    with pytest.raises(ExpertError, match=r"returned|answered"):
        await whole(await serve(response(200, text=text)))


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "[]",
        "null",
        '{"choices": "none"}',
        '{"choices": [1]}',
        '{"choices": {"a": 1}}',
        '{"choices": [{"delta": "text"}]}',
        '{"choices": [{"delta": {"tool_calls": "find"}}]}',
        '{"choices": [null]}',
        '{"message": "out of memory"}',
    ],
)
async def test_an_event_that_is_no_chunk_is_an_error(serve: Serve, data: str) -> None:
    """Nobody after us has to doubt a chunk's shape."""
    with pytest.raises(ExpertError, match="returned"):
        await streamed(await serve(events(data)))


@both_ways
async def test_json_that_is_nested_too_deeply_is_an_error(serve: Serve, ask: Asking) -> None:
    """The expert's, not the service's: another may answer."""
    text = "[" * 100_000
    for status, data in ((200, text), (200, f"data: {text}\n\n"), (500, text)):
        with pytest.raises(ExpertError):
            await ask(await serve(response(status, text=data)))


async def test_what_can_not_be_read_is_no_beginning(serve: Serve) -> None:
    """So that another expert may still answer; later it ends the answer."""
    strange = {"choices": [{"index": 0, "delta": "text"}]}
    client = await serve(events(strange))
    async with client.ask(Call(TINY, BODY, stream=True)) as reply:
        with pytest.raises(ExpertError, match="something other than a chat completion"):
            await reply.begin("tiny")


async def test_numbers_that_json_does_not_have_are_null(serve: Serve) -> None:
    """Also beside half a surrogate pair, which only Python's own JSON reads."""
    text = (
        '{"choices": [{"index": 0, "message": {"content": "half \\ud83d"}, '
        '"logprobs": {"content": [{"logprob": -Infinity}, {"logprob": NaN}]}}]}'
    )
    (choice,) = (await whole(await serve(response(200, text=text))))["choices"]
    assert choice["message"]["content"] == "half \ud83d"
    assert choice["logprobs"] == {"content": [{"logprob": None}, {"logprob": None}]}


async def test_tool_calls_without_numbers_are_told_apart_by_their_ids(serve: Serve) -> None:
    """In one chunk or in several; further pieces belong to the call before them."""

    def piece(*calls: Any) -> Any:
        return {"choices": [{"index": 0, "delta": {"tool_calls": list(calls)}}]}

    def call(name: str, **fields: Any) -> Any:
        return {**fields, "function": {"name": name, "arguments": "{"}}

    rest = {"function": {"arguments": "}"}}
    chunks = piece(call("f", id="a"), call("g", id="b")), piece(call("h", id="c")), piece(rest)
    client = await serve(events(*chunks))
    async with client.ask(Call(TINY, BODY, stream=True)) as reply:
        await reply.begin("tiny")
        (choice,) = (await reply.whole()).choices
    assert [
        (c["id"], c["function"]["name"], c["function"]["arguments"])
        for c in choice["message"]["tool_calls"]
    ] == [("a", "f", "{"), ("b", "g", "{"), ("c", "h", "{}")]


async def test_an_event_without_data_is_none(serve: Serve) -> None:
    """Some servers send them to keep the connection alive."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    assert await streamed(await serve(events("", chunk, "", chunk, ""))) == [
        Began("tiny"),
        Text("Hi"),
        Text("Hi"),
    ]


async def test_bytes_that_are_no_text_are_no_crash(serve: Serve) -> None:
    """Wrong bytes are an expert's fault, and named so."""
    with pytest.raises(ExpertError, match="invalid JSON"):
        await whole(await serve(response(raw=b"\xff\xfe\x00")))


@both_ways
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\ndata: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
    ],
    ids=["hangs up", "no HTTP", "half a body", "half a chunk"],
)
async def test_a_failing_network_becomes_our_error(serve: Serve, ask: Asking, data: bytes) -> None:
    """With its cause kept."""
    with pytest.raises(ExpertUnavailable, match="expert 'tiny'") as info:
        await ask(await serve(Raw(data)))
    assert isinstance(info.value.__cause__, aiohttp.ClientError)


async def test_an_event_of_a_megabyte_is_an_event(serve: Serve) -> None:
    """Lines come in many pieces, and have no longest length."""
    long = {"choices": [{"index": 0, "delta": {"content": "x" * 2**20}}]}
    found = await streamed(await serve(events(long, {"choices": []})))
    assert found == [Began("tiny"), Text("x" * 2**20)]


async def test_the_models_of_an_endpoint(serve: Serve) -> None:
    """By name; rows without one are passed over."""
    rows = [{"id": "a"}, {"id": None}, "b", {"id": "c"}]
    assert await (await serve(response(200, body={"data": rows}))).models() == ("a", "c")


@pytest.mark.parametrize("answer", [{"data": 5}, {"data": None}, {}, [], {"data": {"id": "a"}}])
async def test_a_list_of_models_that_is_none_is_an_error(serve: Serve, answer: Any) -> None:
    """Many pages on the web answer GET /models with something."""
    with pytest.raises(ExpertError, match="returned"):
        await (await serve(response(200, body=answer))).models()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tiny/v1",
        "ftp://tiny/v1",
        "http:///v1",
        "http://host:port/v1",
        "http://[::1/v1",
        "http://127.0.0.1:999999/v1",
        "http://ti\x00ny/v1",
    ],
)
def test_an_address_that_is_none_is_our_error(url: str) -> None:
    """It may come from a registry that somebody wrote by hand."""
    with pytest.raises(ExpertUnavailable, match="expert 'tiny'"):
        HttpExpert("tiny", url, "tiny-1")


# --- other endpoints, and what goes beside the body ---

COMPLETES = replace(TINY, capabilities={"endpoints": ["completions", "embeddings"]})
PROMPT = Native("completions", {"prompt": "Once", "echo": True})


async def told(client: HttpExpert, call: Call) -> tuple[Any, dict[str, Any]]:
    """The events of a call and its whole answer."""
    async with client.ask(call) as reply:
        await reply.begin("tiny")
        found = [event async for event in reply]
    return found, Fold(found).answer().body()


async def test_a_completion_is_asked_for_where_the_expert_has_it(serve: Serve) -> None:
    """The prompt as it came, at its endpoint; the trace goes with it."""
    seen: list[Request] = []
    logprobs = {"tokens": ["Once"], "token_logprobs": [None], "text_offset": [0]}

    def respond(request: Request) -> Raw:
        seen.append(request)
        choice = {"index": 0, "text": "Once more", "logprobs": logprobs, "finish_reason": "stop"}
        return response(body={"object": "text_completion", "choices": [choice], "usage": USAGE})

    trace = {"traceparent": "00-1-2-3"}
    client = await serve(respond)
    _, body = await told(client, Call(COMPLETES, BODY, native=PROMPT, headers=trace))
    assert (seen[0].path, seen[0].json()) == (
        "/v1/completions",
        {"prompt": "Once", "echo": True, "model": "tiny-1"},
    )
    assert seen[0].headers["traceparent"] == "00-1-2-3"
    (choice,) = body["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Once more", "stop")
    assert choice["logprobs"] == logprobs
    assert body["usage"] == USAGE


async def test_a_completion_is_streamed(serve: Serve) -> None:
    """Its pieces of text are a chat's, for whoever reads them."""
    parts = [
        {"choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}]}
        for text, reason in (("Once", None), (" more", None), ("", "length"))
    ]
    client = await serve(events(*parts, {"choices": [], "usage": USAGE}))
    found, _ = await told(client, Call(COMPLETES, BODY, stream=True, native=PROMPT))
    assert found[1:] == [Text("Once"), Text(" more"), Finish("length"), Usage(USAGE)]


async def test_who_does_not_complete_is_asked_in_a_chat(serve: Serve) -> None:
    """As nothing else is known of it."""
    paths: list[str] = []

    def respond(request: Request) -> Raw:
        paths.append(request.path)
        return response(body=ANSWER)

    await told(await serve(respond), Call(TINY, BODY, native=PROMPT))
    preset: dict[str, Any] = {"base": "tiny", "body": {}, "system": None, "template": None}
    await told(await serve(respond), Call(replace(COMPLETES, preset=preset), BODY, native=PROMPT))
    assert paths == ["/v1/chat/completions"] * 2


async def test_embeddings_come_as_they_are(serve: Serve) -> None:
    """In a field of the message."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
    native = Native("embeddings", {"input": ["a"]})
    client = await serve(response(body={"object": "list", "data": data, "usage": USAGE}))
    _, body = await told(client, Call(COMPLETES, BODY, native=native))
    assert body["choices"][0]["message"]["data"] == data
    assert body["usage"] == USAGE


@pytest.mark.parametrize("answer", [{"choices": [{"text": 5}]}, {"choices": "x"}, {"data": 5}, {}])
async def test_what_is_no_completion_is_the_experts_failure(serve: Serve, answer: Any) -> None:
    """Whatever it is."""
    client = await serve(response(body=answer))
    for native in (PROMPT, Native("embeddings", {"input": "a"})):
        with pytest.raises(ExpertError):
            await told(client, Call(COMPLETES, BODY, native=native))
