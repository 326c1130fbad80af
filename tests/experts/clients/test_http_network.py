"""The HTTP client on real sockets: connections, proxies, slow servers, and clients that leave."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest

from collegium.errors import ExpertTimeout, ExpertUnavailable
from collegium.experts.clients import connection
from collegium.experts.clients.events import Text
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.reply import Call
from tests.experts.api_server import ApiServer
from tests.experts.clients.asking import BODY, TINY, Asking, both_ways, streamed, whole


async def test_connections_are_kept_for_the_next_request(api: ApiServer) -> None:
    """The server sees one connection."""
    client = HttpExpert("tiny", api.url, "tiny")
    for _ in range(3):
        await whole(client)
    assert len(api.connections) == 1
    await client.aclose()


async def test_a_proxy_of_the_environment_is_asked(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the world outside; NO_PROXY names exceptions."""
    monkeypatch.setenv("http_proxy", api.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = HttpExpert("tiny", "http://far.example/v1", "tiny")
    await whole(client)
    assert api.requests[0][0] == "http://far.example/v1/chat/completions"
    await client.aclose()


@both_ways
async def test_a_refused_connection_is_an_unavailable_expert(ask: Asking) -> None:
    """On a real port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        client = HttpExpert("tiny", f"http://127.0.0.1:{probe.getsockname()[1]}/v1", "tiny-1")
        with pytest.raises(ExpertUnavailable, match="can't connect"):
            await ask(client)
    await client.aclose()


@both_ways
async def test_a_connection_that_nobody_answers_is_an_unavailable_expert(
    ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a machine that was switched off: nothing was sent, so another replica may be asked."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.2)
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):  # what a backlog of 0 holds; the kernel drops what comes after it
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        client = HttpExpert("tiny", f"http://127.0.0.1:{full.getsockname()[1]}/v1", "tiny-1")
        with pytest.raises(ExpertUnavailable, match="can't connect") as caught:
            await ask(client)
        assert caught.value.unreachable
    await client.aclose()


@both_ways
async def test_a_real_server_that_is_too_slow_is_a_timeout(ask: Asking, api: ApiServer) -> None:
    """The wait for the next byte is limited."""
    client = HttpExpert("tiny", api.url, "slow", timeout_s=0.2)
    with pytest.raises(ExpertTimeout, match="no answer in time"):
        await ask(client)
    await client.aclose()


async def test_a_real_server_answers_whole_and_streamed(api: ApiServer) -> None:
    """The same text over real sockets."""
    client = HttpExpert("tiny", api.url, "tiny")
    answer = await whole(client)
    assert answer["choices"][0]["message"]["content"] == "Hello from tiny"
    assert "".join(e.text for e in await streamed(client) if isinstance(e, Text)) == "Hello"
    await client.aclose()


async def test_a_real_server_notices_that_the_client_left(api: ApiServer) -> None:
    """Its next write fails."""
    client = HttpExpert("tiny", api.url, "endless")
    async with client.ask(Call(TINY, BODY, stream=True)) as reply:
        await reply.begin("tiny")
    assert await asyncio.to_thread(api.hung_up.wait, 10)
    await client.aclose()


async def test_a_local_engine_is_never_reached_through_a_proxy(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxy is for the world outside."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    client = HttpExpert("tiny", api.url, "tiny", trust_env=False)
    await whole(client)
    await client.aclose()
