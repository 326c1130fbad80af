"""What is written in one turn of the loop is sent in one piece, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from collegium.web.corked import MOST, Corked


class Counting(asyncio.Protocol):
    """A server's end of a connection, which counts what reaches its transport."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count before the real transport, which can't be changed."""
        assert isinstance(transport, asyncio.Transport)
        self.corked = Corked(_Counted(transport, self.pieces), asyncio.get_running_loop())  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        self.ended.set()


class _Counted:
    def __init__(self, transport: asyncio.Transport, pieces: list[bytes]) -> None:
        self.write_to, self.pieces = transport, pieces
        self.close, self.abort = transport.close, transport.abort
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        self.pieces.append(data)
        self.write_to.write(data)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Counting, asyncio.StreamReader]]:
    """A server's protocol and a client that reads."""
    ends: list[Counting] = []

    def protocol() -> Counting:
        ends.append(Counting())
        return ends[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    reader, writer = await asyncio.open_connection(host, port)
    while not ends:
        await asyncio.sleep(0)
    try:
        yield ends[0], reader
    finally:
        writer.close()
        server.close()


async def test_one_turn_is_one_piece() -> None:
    """In the order in which it was written; the next turn's is another piece."""
    async with connected() as (end, reader):
        for data in (b"head", b"body", b"end"):
            end.corked.write(data)
        assert await reader.readexactly(11) == b"headbodyend"
        end.corked.write(b"more")
        assert await reader.readexactly(4) == b"more"
        assert end.pieces == [b"headbodyend", b"more"]


async def test_much_is_sent_before_the_turn_is_over() -> None:
    """Else a long answer would be kept twice, and its writer never asked to pause."""
    async with connected() as (end, reader):
        end.corked.write(b"a" * MOST)
        end.corked.write(b"b")
        assert end.pieces == [b"a" * MOST + b"b"]
        assert len(await reader.readexactly(MOST + 1)) == MOST + 1


async def test_closing_sends_the_rest() -> None:
    """As a transport does by itself."""
    async with connected() as (end, reader):
        end.corked.write(b"last words")
        end.corked.close()
        assert await reader.read() == b"last words"
        await end.ended.wait()


async def test_aborting_sends_nothing_more() -> None:
    """Nor does what comes after it raise."""
    async with connected() as (end, reader):
        end.corked.write(b"never")
        end.corked.abort()
        end.corked.write(b"too late")
        await end.ended.wait()
        await asyncio.sleep(0.01)
        assert end.pieces == []
        assert await reader.read() == b""
