"""A stream that is left: its upstream is let go at once, and what had come is counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from collegium.errors import ExpertError
from collegium.experts.clients.events import Text
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call, Reply
from collegium.registry.expert import Expert
from collegium.web.serving.call_record import NOTICED_S, in_flight
from tests.experts.clients.asking import BODY

USAGE = {"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43}
MOST_CLOSING_S = 0.1
"""Measured: 0.2 to 0.3 ms."""


class Streaming:
    """An upstream that writes chunks, each as soon as it may, and notes when its client left."""

    def __init__(self, *writes: Sequence[Any]) -> None:
        self.writes = writes
        self.url = ""
        self.left_at: float | None = None
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for chunks in self.writes:
            writer.write("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode())
            await writer.drain()
            await asyncio.sleep(0.02)
        with suppress(ConnectionError):
            await reader.read()
        self.left_at = time.perf_counter()
        self.gone.set()
        writer.close()


@asynccontextmanager
async def streaming(*writes: Sequence[Any]) -> AsyncIterator[Streaming]:
    """The upstream on a port of its own."""
    upstream = Streaming(*writes)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    async with server:
        upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield upstream


def said(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


async def left_after_one_word(upstream: Streaming, call: Call) -> Reply:
    """The reply of which one piece was read, as it is counted afterwards."""
    client = HttpExpert("tiny", upstream.url, "tiny")
    async with client.ask(call) as reply:
        await reply.begin("tiny")
        await asyncio.sleep(0.2)  # the rest comes meanwhile
        async for event in reply:
            if isinstance(event, Text):
                break
    left_at = time.perf_counter()
    await asyncio.wait_for(upstream.gone.wait(), 5)
    assert upstream.left_at is not None
    assert upstream.left_at - left_at < MOST_CLOSING_S
    assert reply.tokens == 1
    reply.overhear()
    await client.aclose()
    return reply


CHAT = Call(Expert("tiny", "openai", "tiny"), BODY, stream=True)


@pytest.mark.parametrize(
    "writes",
    [
        [[said("a"), said("b"), said("c")]],
        [[said("a")], [said("b")], [said("c")]],
        [[said("a")], [said("b"), said("c"), {"error": {"message": "broken"}}, said("d")]],
    ],
    ids=["at once", "one by one", "with an error"],
)
async def test_the_upstream_is_let_go_and_what_had_come_is_counted(writes: Any) -> None:
    """Of the same packet, of later ones, and up to what can't be read."""
    async with streaming(*writes) as upstream:
        reply = await left_after_one_word(upstream, CHAT)
    assert (reply.tokens, reply.text, reply.usage) == (3, "abc", None)
    assert not reply.finished


async def test_a_usage_that_had_come_is_heard() -> None:
    """It is what the upstream bills; nothing is in flight then."""
    end = [said("b"), said("", "stop"), {"choices": [], "usage": USAGE}]
    async with streaming([said("a")], end) as upstream:
        reply = await left_after_one_word(upstream, CHAT)
    assert reply.usage is not None
    assert reply.usage.tokens.output == 40
    assert in_flight(reply, 2, None) == 0


async def test_so_it_is_in_the_callers_own_protocol() -> None:
    """Anthropic tells the usage at the end, too."""
    start = {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {}}}
    piece = {"type": "content_block_delta", "index": 0}
    block = {"type": "text", "text": ""}
    begun = {"type": "content_block_start", "index": 0, "content_block": block}
    usage = {"input_tokens": 3, "output_tokens": 40}
    events = [
        *(start, begun, piece | {"delta": {"type": "text_delta", "text": "a"}}),
        piece | {"delta": {"type": "text_delta", "text": "b"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
    ]
    expert = Expert("tiny", "openai", "tiny", capabilities={"endpoints": ["chat", "messages"]})
    native = Native("messages", {"messages": BODY["messages"], "max_tokens": 50})
    async with streaming(events) as upstream:
        reply = await left_after_one_word(upstream, Call(expert, BODY, stream=True, native=native))
    assert reply.text == "ab"
    assert reply.usage is not None
    assert reply.usage.tokens.output == 40


async def test_what_is_in_flight_goes_by_the_pace_and_is_bounded() -> None:
    """By what has come, and by what it may write; nothing of what has said nothing."""
    reply = Reply(iter(()))  # type: ignore[arg-type]
    assert in_flight(reply, 5, None) == 0
    reply.first_at = time.perf_counter() - 10 * NOTICED_S
    assert 8 <= in_flight(reply, 100, None) <= 10
    assert in_flight(reply, 100, 105) == 5
    assert in_flight(reply, 100, 90) == 0
    reply.first_at = time.perf_counter()
    assert in_flight(reply, 100, None) == 100
    assert in_flight(reply, 2, None, least=50) == 50  # it may be faster than it has shown
    assert in_flight(reply, 2, 30, least=50) == 28


async def test_what_came_before_a_stream_broke_is_read() -> None:
    """It is billed; aiohttp would discard what nobody had read by then."""
    pieces = [said(f"{number} ") for number in range(5)]
    async with broken(pieces) as url:
        client = HttpExpert("tiny", url, "tiny")
        async with client.ask(CHAT) as reply:
            await reply.begin("tiny")
            await asyncio.sleep(0.2)  # the rest comes, and the end of the connection
            with pytest.raises(ExpertError):
                await reply.whole()
        await client.aclose()
    assert (reply.tokens, reply.text) == (5, "0 1 2 3 4 ")


@asynccontextmanager
async def broken(pieces: Sequence[Any]) -> AsyncIterator[str]:
    """An upstream that writes pieces in chunks, and closes its connection before the last one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        kind = b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + kind)
        for piece in pieces:
            event = f"data: {json.dumps(piece)}\n\n".encode()
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
