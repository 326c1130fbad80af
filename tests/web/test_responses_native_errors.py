"""What goes wrong at experts that speak the Responses API themselves: errors, cuts, odd usage."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.experts.scripted_server import Raw, response
from tests.web.conftest import Serve
from tests.web.native_responses import (
    SAID,
    STREAM,
    USAGE,
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
from tests.web.responses import PATH, ask, events_of, said, stream


@pytest.fixture
async def native(serve: Serve) -> AsyncIterator[Native]:
    """A service with such an expert."""
    async with speaking(serve) as native:
        yield native


@pytest.mark.parametrize(
    ("status", "wanted", "kind"),
    [(400, 400, "invalid_request_error"), (500, 502, None), (429, 429, "rate_limit_error")],
)
@both
async def test_an_upstreams_errors(
    native: Native, status: int, wanted: int, kind: str | None, streams: bool
) -> None:
    """Are errors of the expert, in OpenAI's shape."""
    raw = response(status, body={"error": {"type": "x", "message": "no such thing"}})
    native.upstream.whole = native.upstream.stream = raw
    error = await ask(native.web, model="native", stream=streams, status=wanted)
    assert kind in (None, error["type"])


FAILED = answered(status="failed") | {"error": {"code": "server_error", "message": "it burns"}}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([{"type": "error", "code": "server_error", "message": "is overloaded"}], "is overloaded"),
        ([{"type": "response.failed", "response": FAILED}], "answered with an error"),
        ([], "closed in the middle"),
        ([{"type": "a\nb"}], "something other than the response's format"),
        (
            [{"type": "response.output_text.delta", "output_index": []}],
            "something other than the response's format",
        ),
        (
            [{"type": "response.completed", "response": {"output": [3]}}],
            "something other than the response's format",
        ),
    ],
)
async def test_a_stream_that_breaks(native: Native, told: list[Json], words: str) -> None:
    """Ends with `response.failed`; before a word is said it is an error of the request."""
    native.upstream.stream = sse([*STREAM[:2], *told])
    before = await native.web.http.post(
        PATH, json={"model": "native", "input": "a", "stream": True}
    )
    assert before.status_code in (502, 503), before.text
    assert re.search(words, before.json()["error"]["message"])
    native.upstream.stream = sse([*STREAM[:9], *told])
    answer = await native.web.http.post(
        PATH, json={"model": "native", "input": "a", "stream": True}
    )
    *_, last = events_of(answer.text)
    assert last["type"] == "response.failed"
    assert re.search(words, last["response"]["error"]["message"])
    assert last["response"]["store"] is False
    assert [item["type"] for item in last["response"]["output"]] == ["reasoning", "message"]


@pytest.mark.parametrize(
    "raw",
    [
        sse([{"type": "error", "message": "x"}]),
        sse([]),
        response(text="data: {\n\n"),
        response(body={"object": "response"}),
        response(body={"output": "x"}),
        response(body=[]),
        response(body=FAILED),
        response(text="<html>", kind="text/html"),
    ],
)
@both
async def test_what_is_no_response(native: Native, raw: Raw, streams: bool) -> None:
    """Is the expert's error, before anything was sent."""
    native.upstream.stream = native.upstream.whole = raw
    answer = await native.web.http.post(
        PATH, json={"model": "native", "input": "a", "stream": streams}
    )
    assert answer.status_code in (502, 503), answer.text


async def test_a_whole_response_where_a_stream_was_asked(native: Native) -> None:
    """Is streamed to the caller, and a stream where none was asked is put together."""
    native.upstream.stream, native.upstream.whole = native.upstream.whole, native.upstream.stream
    found = await stream(native.web, model="native")
    kinds = [item["type"] for item in found[-1]["response"]["output"]]
    assert kinds == ["reasoning", "message", "function_call"]
    assert said(found) == "hello there"
    body = await ask(native.web, model="native")
    assert [item["type"] for item in body["output"]] == kinds
    assert body["usage"] == USAGE


@both
async def test_a_cut_answer_is_incomplete(native: Native, streams: bool) -> None:
    """Also where a stream calls its end `response.completed`, as vLLM does."""
    cut = answered(SAID, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    told = streamed(cut, *grown(0, SAID, *text("hello there")))
    told[-1]["type"] = "response.completed"
    native.upstream.whole, native.upstream.stream = response(body=cut), sse(told)
    body = await final(native, streams=streams)
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}


@both
async def test_usage_that_nobody_told_is_counted(native: Native, streams: bool) -> None:
    """Also where it makes no sense."""
    strange: tuple[Any, ...] = (None, {"input_tokens": -1, "output_tokens": "x"}, [])
    for usage in strange:
        told = answered(SAID, usage=usage)
        native.upstream.says(told, *grown(0, SAID, *text("hello there")))
        body = await final(native, streams=streams)
        assert body["usage"]["output_tokens"] > 0
        assert body["collegium"]["outcome"]["estimated"] is True
