"""Clients that are slow, silent or greedy, against the server that the service runs on."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from collegium.cli import serving
from collegium.errors import SettingsError
from collegium.settings import load_settings
from collegium.web import limited_protocol
from collegium.web.limited_protocol import ConnectionLimits, limited
from tests.web.conftest import Web, until

LIMITS = ConnectionLimits(header_s=0.3, body_s=0.3, write_s=0.3, header_bytes=10_000, connections=8)
HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body; answers it, or 64 MB at `/big`."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/big":
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 2**16, "more_body": True})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(app: Any, limits: ConnectionLimits) -> AsyncIterator[int]:
    """A server on a free port."""
    config = uvicorn.Config(
        app, http=limited(limits), ws="none", lifespan="off", log_level="critical"
    )
    server, listener = uvicorn.Server(config), serving.listen("127.0.0.1", 0)
    beside = asyncio.create_task(limited_protocol.sweep(server))
    task = asyncio.create_task(server._serve([listener]))
    await until(lambda: server.started)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        await task


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server with limits that a test can wait for."""
    monkeypatch.setattr(limited_protocol, "SWEEP_S", 0.05)
    async with listening(echo, LIMITS) as port:
        yield port


async def said(port: int, *pieces: bytes, every_s: float = 0.05) -> bytes:
    """What a client reads until the connection ends that sends these pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)
        async with asyncio.timeout(5):
            return await reader.read()
    except (ConnectionResetError, BrokenPipeError):
        return b"reset"
    finally:
        writer.close()


async def test_a_silent_connection_is_closed(port: int) -> None:
    """Nothing was asked, so nothing is answered."""
    assert await said(port) == b""


@pytest.mark.parametrize(
    "pieces",
    [[HEAD], [HEAD, *[b"x-a: b\r\n"] * 40], [b"G"], [b"\r\n"] * 40],
    ids=["half", "drop by drop", "a letter", "empty lines"],
)
async def test_a_head_has_to_come_in_time(port: int, pieces: list[bytes]) -> None:
    """Whether the client is silent or sends a little again and again."""
    answer = await said(port, *pieces)
    assert answer.startswith(b"HTTP/1.1 408") or answer in (b"", b"reset")


@pytest.mark.parametrize(
    "pieces",
    [[b"abc"], [b"a"] * 40],
    ids=["half", "drop by drop"],
)
async def test_a_body_has_to_come_in_time(port: int, pieces: list[bytes]) -> None:
    """At 4 KiB a second or more."""
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    answer = await said(port, head, *pieces)
    assert answer.startswith(b"HTTP/1.1 408") or answer == b"reset"


async def test_a_large_body_has_time(port: int) -> None:
    """A slow line is no attack."""
    pieces = [b"x" * 10_000] * 12
    size = sum(map(len, pieces))
    head = f"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n"
    answer = await said(port, head.encode(), *pieces)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"x") == size


async def test_an_endless_head_is_refused(port: int) -> None:
    """Before it fills the memory."""
    answer = await said(port, HEAD + b"x-a: ", *[b"a" * 5000] * 5, every_s=0.0)
    assert answer.startswith(b"HTTP/1.1 431") or answer == b"reset"


@pytest.mark.parametrize("head", ["x-a: {}", "x-a: {}\r\ncontent-length: 5", "cookie: a={}"])
async def test_a_large_head_in_one_piece_is_refused(port: int, head: str) -> None:
    """Also with its end and a body; one just within the limit is taken."""
    end = b"connection: close\r\n\r\nhello"
    answer = await said(port, HEAD + head.format("a" * 10_100).encode() + b"\r\n" + end)
    assert answer.startswith(b"HTTP/1.1 431")
    assert answer.count(b"HTTP/1.1") == 1
    answer = await said(port, HEAD + head.format("a" * 9_800).encode() + b"\r\n" + end)
    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_long_address_is_part_of_the_head(port: int) -> None:
    """However short the fields are."""
    answer = await said(port, b"GET /?" + b"a" * 10_100 + b" HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("piece", [b"a" * 5000, b"x-a: b\r\n" * 700], ids=["one", "many"])
async def test_endless_fields_behind_a_body_are_refused(port: int, piece: bytes) -> None:
    """As those before it."""
    head = HEAD.replace(b"GET", b"POST") + b"transfer-encoding: chunked\r\n\r\n"
    answer = await said(port, head, b"5\r\nhello\r\n0\r\nx-a: ", *[piece] * 5, every_s=0.01)
    assert answer.startswith(b"HTTP/1.1 431") or answer == b"reset"


async def test_chunks_may_be_small(port: int) -> None:
    """Of a byte each."""
    head = HEAD.replace(b"GET", b"POST") + b"transfer-encoding: chunked\r\nconnection: close\r\n"
    pieces = [b"1\r\nx\r\n" * 1000] * 10
    answer = await said(port, head + b"\r\n", *pieces, b"0\r\n\r\n", every_s=0.01)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"x") >= 10_000


async def test_a_head_and_a_large_body_may_come_together(port: int) -> None:
    """In one piece of what the network brings."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answer = await http.post("/", content=b"x" * 300_000)
    assert answer.content == b"x" * 300_000


async def test_an_endless_head_behind_a_request_is_refused(port: int) -> None:
    """While that is worked on."""
    pieces = [HEAD + b"\r\n" + HEAD + b"x-a: ", *[b"a" * 5000] * 5]
    answer = await said(port, *pieces, every_s=0.0)
    assert b"HTTP/1.1 431" in answer or answer == b"reset"


async def test_requests_on_one_connection_have_their_time_each(port: int) -> None:
    """Seven in a row take longer than one may be waited for."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for number in range(7):
            answer = await http.post("/", content=f"{number}")
            assert answer.text == f"{number}"
            await asyncio.sleep(0.1)


async def test_a_client_that_does_not_read_is_hung_up_on(port: int) -> None:
    """What it was sent is forgotten, by the kernel too."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
    await until(lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0)
    client.close()


async def test_idle_connections_make_room(port: int) -> None:
    """The longest idle one goes; who is being answered stays."""
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answers = [(await http.post("/", content="x")).text for _ in range(5)]
    assert answers == ["x"] * 5
    for _, writer in idle:
        writer.close()


async def test_where_all_are_busy_one_more_is_told_when_to_come_back() -> None:
    """With 503, at once."""
    go = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async with listening(waits, LIMITS) as port:
        busy = [
            asyncio.create_task(said(port, HEAD + b"connection: close\r\n\r\n")) for _ in range(8)
        ]
        await asyncio.sleep(0.2)
        answer = await said(port, HEAD + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer
        go.set()
        assert all(a.startswith(b"HTTP/1.1 200") for a in await asyncio.gather(*busy))


# --- the end ---


@asynccontextmanager
async def served(web: Web, drain_s: float) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """The whole service on a port: its address, and how to tell it to end."""
    settings = load_settings(embedded=False, drain_timeout_s=drain_s)
    server, listener = serving.make_server(web.app, settings), serving.listen("127.0.0.1", 0)
    server.config.lifespan = "off"  # the fixture has started it
    server.config.load()

    def end() -> None:
        server.should_exit = True

    task = asyncio.create_task(serving.serve(server, [listener], web.parts.draining, drain_s))
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", end
    finally:
        end()
        await task
        web.parts.draining.begun = web.parts.draining.over = False


def body(**fields: Any) -> Any:
    return {"model": "sql", "messages": [{"role": "user", "content": "sql 1"}], **fields}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_under_way_come_to_their_end(
    web: Web, http: httpx.AsyncClient, stream: bool
) -> None:
    """After the signal; no new request is taken meanwhile."""
    script = web.experts["sql"]
    script.waits = True
    async with served(web, drain_s=5.0) as (url, end):
        ask = http.post(f"{url}/v1/chat/completions", json=body(stream=stream))
        asking = asyncio.create_task(ask)
        await until(lambda: script.asked)
        end()
        await until(lambda: web.parts.draining.begun)
        assert (await web.chat()).json()["error"]["code"] == "shutting_down"
        script.go.set()
        answer = await asking
    assert answer.status_code == 200
    assert "hello" in answer.text


async def test_a_stream_that_takes_too_long_ends_with_an_error(
    web: Web, http: httpx.AsyncClient
) -> None:
    """An event that clients read, and when to ask again."""
    script = web.experts["sql"]
    script.pauses = True
    async with (
        served(web, drain_s=0.3) as (url, end),
        http.stream("POST", f"{url}/v1/chat/completions", json=body(stream=True)) as answer,
    ):
        lines = answer.aiter_lines()
        first = await anext(lines)
        end()
        rest = [line async for line in lines if line]
    assert "chat.completion.chunk" in first
    assert rest[-2] == "retry: 5000"
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "shutting_down"


async def test_a_whole_answer_that_takes_too_long_is_503(web: Web, http: httpx.AsyncClient) -> None:
    """With `Retry-After`; the decision is recorded as one that was cancelled."""
    script = web.experts["sql"]
    script.waits = True
    async with served(web, drain_s=0.3) as (url, end):
        asking = asyncio.create_task(http.post(f"{url}/v1/chat/completions", json=body()))
        await until(lambda: script.asked)
        end()
        answer = await asking
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    await web.parts.background.finish()
    (logged,) = await web.parts.log.recent()
    assert logged.outcome is not None
    assert logged.outcome.status == "cancelled"


# --- what it listens on ---


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_nobody_else_reaches_a_service_without_a_key(host: str) -> None:
    """It does not start."""
    with pytest.raises(SettingsError, match="COLLEGIUM_API_KEY"):
        serving.refuse_if_open(load_settings(host=host))
    serving.refuse_if_open(load_settings(host=host, api_key="a-long-enough-key"))
    serving.refuse_if_open(load_settings())


def test_connections_fit_the_limit_of_open_files(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is raised where that is allowed, else there are fewer, and the log says so."""
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1_000_000))
    assert serving.connections(1000) == 1000
    assert raised == [(2100, 1_000_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    with caplog.at_level(logging.WARNING):
        assert serving.connections(1000) == 462
    assert "limit of open files" in caplog.text


@pytest.mark.parametrize(
    "data", [b"GARBAGE\r\n\r\n", b"\x16\x03\x01 tls", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_no_http_is_told_so_in_the_usual_shape(port: int, data: bytes) -> None:
    """As every error, and with a name."""
    head, _, body = (await said(port, data)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-request-id: req_" in head
    assert json.loads(body)["error"]["code"] == "http_error"
