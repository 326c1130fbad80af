"""Experts that are asked in the caller's own protocol keep to the bounds that hold for chats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from collegium.errors import ExpertError, ExpertTimeout
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call
from collegium.registry.expert import Expert

Json = dict[str, Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
START: Json = {"type": "message_start", "message": {"model": "m"}}
BEGUN: dict[str, list[Json]] = {
    "messages": [
        START,
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
    ],
    "responses": [
        {"type": "response.created", "response": {"model": "m"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "a"},
    ],
}
SIGNS = {"messages": {"type": "ping"}, "responses": {"type": "keepalive"}}
protocols = pytest.mark.parametrize("protocol", list(BEGUN))


@dataclass
class Dripping:
    """A server that begins to answer, and then goes on with one event for ever."""

    url: str = ""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether the client has hung up."""


@asynccontextmanager
async def dripping(begun: list[Json], further: Json, every_s: float) -> AsyncIterator[Dripping]:
    """Serve until the test is done."""
    server = Dripping()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"".join(map(event, begun)))
        try:
            while True:
                writer.write(event(further))
                await writer.drain()
                await asyncio.sleep(every_s)
        except ConnectionError:
            server.left.set()
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    server.url = f"http://{host}:{port}/v1"
    async with listener:
        yield server


def event(told: Json) -> bytes:
    """As servers send it."""
    return b"data: " + json.dumps(told).encode() + b"\n\n"


def call(protocol: str, url: str) -> Call:
    """A request that came by a protocol, for an expert that speaks it."""
    expert = Expert("e", "openai", "m", base_url=url, capabilities={"endpoints": [protocol]})
    return Call(expert, {"messages": []}, stream=True, native=Native(protocol, {"input": "a"}))


async def read(client: HttpExpert, call: Call) -> None:
    """All that comes."""
    async with asyncio.timeout(10), client.ask(call) as reply:
        async for _ in reply:
            pass


@protocols
async def test_signs_of_life_alone_are_no_answer(protocol: str) -> None:
    """They hold a connection open, but not for ever."""
    async with dripping(BEGUN[protocol], SIGNS[protocol], 0.05) as server:
        client = HttpExpert("e", server.url, "m", timeout_s=0.4)
        with pytest.raises(ExpertTimeout):
            await read(client, call(protocol, server.url))
        await client.aclose()


@protocols
async def test_an_answer_without_end_is_cut(protocol: str) -> None:
    """At as many bytes as an answer may have."""
    async with dripping(BEGUN[protocol], BEGUN[protocol][1], 0) as server:
        client = HttpExpert("e", server.url, "m", most_bytes=100_000)
        with pytest.raises(ExpertError, match="too large"):
            await read(client, call(protocol, server.url))
        await client.aclose()


@protocols
async def test_who_leaves_hangs_up(protocol: str) -> None:
    """So that the upstream stops."""
    async with dripping(BEGUN[protocol], BEGUN[protocol][1], 0.02) as server:
        client = HttpExpert("e", server.url, "m")
        async with client.ask(call(protocol, server.url)) as reply:
            async for _ in reply:
                break
        await asyncio.wait_for(server.left.wait(), 10)
        await client.aclose()
