"""What the log says of upstreams' failures: each one in a line, and no key that they quote."""

from __future__ import annotations

import json

import pytest

from tests.experts.behaviours import HEL, ROLE, chunk, error, sse, stream
from tests.experts.scripted_server import Raw, Request, response
from tests.web.conftest import Serve
from tests.web.reading import events
from tests.web.test_upstreams import ODD, odd

KEY = "sk-upstream-key-VERYSECRET-42"
PLAIN_KEY = "0123456789abcdefVERYSECRET"
SOME = (ROLE, HEL, chunk({"content": "lo"}))


def log_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of the expert."""
    return [r.getMessage() for r in caplog.records if "expert 'odd'" in r.getMessage()]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (stream(sse(*SOME, end=""), missing=9), "the connection failed"),
        (stream(sse(*SOME, end="")), "the connection closed in the middle"),
        (stream(sse(*SOME, "{broken")), "returned invalid JSON"),
        (stream(sse(*SOME, {"error": {"message": "upstream exploded"}})), "upstream exploded"),
    ],
    ids=["cut", "ended", "broken", "error"],
)
async def test_a_failure_in_the_middle_of_an_answer_is_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture, sent: Raw, words: str
) -> None:
    """In one line with the upstream's words, as one before the first token is."""
    async with odd(serve, lambda _: sent) as (web, _):
        answer = await web.chat("sql 1", stream=True, **ODD)
    assert "error" in events(answer.text)[-1]
    (line,) = log_of(caplog)
    assert words in line
    assert line.endswith("; its answer had begun")


async def test_a_failure_before_an_answer_is_logged_once(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """By the attempt alone."""
    async with odd(serve, lambda _: response(500, body=error("down"))) as (web, _):
        await web.chat("sql 1", stream=True, model="odd")
    (line,) = log_of(caplog)
    assert "its answer had begun" not in line


@pytest.mark.parametrize("key", [KEY, PLAIN_KEY])
@pytest.mark.parametrize("status", [200, 400, 401, 422, 500])
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
async def test_the_experts_key_is_nowhere_in_the_log_the_record_or_the_answer(
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    status: int,
    streams: bool,
) -> None:
    """An upstream that quotes the request's header gives away the key."""
    monkeypatch.setenv("FAKE_API_KEY", key)

    def respond(request: Request) -> Raw:
        quoted = error(f"bad header {request.headers['authorization']} (key={key}) in this request")
        if status == 200 and streams:
            return stream(sse(*SOME, quoted))
        return response(status, body=quoted)

    caplog.set_level("DEBUG", "collegium")
    async with odd(serve, respond, api_key_env="FAKE_API_KEY") as (web, server):
        answer = await web.chat("sql 1", stream=streams, model="odd")
        await web.parts.background.finish()
        records = [str(entry) for entry in await web.parts.log.recent()]
    assert server.requests[0].headers["authorization"] == f"Bearer {key}"
    assert log_of(caplog)
    for text in (answer.text, *records, *(r.getMessage() for r in caplog.records)):
        assert "VERYSECRET" not in text


async def test_a_key_that_was_cut_is_taken_out_too(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the beginning of what is no JSON, which may end within the key."""
    monkeypatch.setenv("FAKE_API_KEY", PLAIN_KEY)
    broken = json.dumps("x" * 101)[:-1] + PLAIN_KEY
    async with odd(serve, lambda _: response(raw=broken.encode()), api_key_env="FAKE_API_KEY") as (
        web,
        _,
    ):
        await web.chat("sql 1", model="odd")
    (line,) = log_of(caplog)
    assert "xxx" in line
    assert PLAIN_KEY[:8] not in line
