"""A real HTTP server on loopback that answers as a test says, byte by byte if need be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Raw:
    """Bytes to send as they are; then the connection is closed."""

    data: bytes


@dataclass
class Scripted:
    """The server's address and the requests that it got."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)


def response(
    status: int = 200,
    *,
    text: str = "",
    body: Any = None,
    raw: bytes | None = None,
    kind: str = "",
    headers: Mapping[str, str] | None = None,
    missing: int = 0,
) -> Raw:
    """A response: text, JSON or bytes, of which so many at the end may never come."""
    content = raw if raw is not None else (text if body is None else json.dumps(body)).encode()
    kind = kind or ("text/event-stream" if body is None else "application/json")
    told = {"Content-Type": kind, "Content-Length": len(content) + missing}
    told |= {"Connection": "close", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return Raw(f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode() + content)


Respond = Callable[[Request], Raw]


@asynccontextmanager
async def scripted(respond: Respond) -> AsyncGenerator[Scripted]:
    """Serve until the test is done; one request a connection."""
    server = Scripted()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader)
        server.requests.append(request)
        writer.write(respond(request).data)
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    server.url = f"http://{host}:{port}/v1"
    async with listener:
        yield server


async def _read(reader: asyncio.StreamReader) -> Request:
    start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = start.split(" ")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines) if k}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
