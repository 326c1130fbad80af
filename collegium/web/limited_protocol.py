"""Uvicorn's HTTP protocol with limits that it lacks: on headers, bodies, slow readers and
connections.

Uvicorn takes the class of its protocol as an option. Times are looked at once a second by one sweep
over all connections, so that a request pays two looks at the clock
([decision 0018](../../docs/decisions/0018-limits-of-connections.md)).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import struct
from dataclasses import dataclass
from functools import partial
from socket import SO_LINGER, SOL_SOCKET
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from collegium.web.corked import Corked
from collegium.web.errors import shaped

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import Server, ServerState

log = logging.getLogger(__name__)
SWEEP_S = 1.0
AT_ONCE = struct.pack("ii", 1, 0)
TOO_LARGE = "The request's head is too large"
FIELD = len(": \r\n")
CHUNK = len("1\r\n\r\n")
LEAST_RATE = 4096
"""The minimum transfer rate of a body, bytes per second, after an initial grace period."""


@dataclass(frozen=True)
class ConnectionLimits:
    """Time limits of a connection, in seconds, and the maximum number of connections."""

    header_s: float = 10.0
    """For a request's headers, and for an idle connection between two requests."""
    body_s: float = 30.0
    """For a body, besides its transfer time at 4 KiB per second."""
    write_s: float = 60.0
    """For a client to read what is buffered for it."""
    header_bytes: int = 65_536
    connections: int = 1000


class LimitedProtocol(HttpToolsProtocol):
    """One connection, which is closed if it is too slow or sends too much."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._head_since: float | None = None
        """When the wait for a request's headers began; None while a request is being handled."""
        self._in_head = False
        self._head_bytes = 0
        """Bytes received while the head was incomplete, or the length of its fields."""
        self._framing_bytes = 0
        """Bytes received for a body that are not in it: chunk sizes, and fields behind it."""
        self._refused = False
        self._body_since: float | None = None
        self._body_bytes = 0
        self._stalled_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection in the place of the one that is idle for longest, if all are taken."""
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        self._head_since = self.loop.time()
        if len(self.connections) > self._limits.connections and not self._made_room():
            self.refuse(503, "All connections are taken; try again later", retry_after_s=1)

    def data_received(self, data: bytes) -> None:
        """Count the bytes that are in no body: those of a head, and of a body's chunks."""
        was_in_body, before = self._body_since is not None, self._body_bytes
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        elif was_in_body and self._body_since is not None:
            self._framing_bytes += len(data) - (self._body_bytes - before)
        if self._head_is_too_large():
            self.refuse(431, TOO_LARGE)

    def on_message_begin(self) -> None:
        """A head has begun, maybe while the request before it is worked on."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are complete; the body follows."""
        self._head_since, self._in_head = None, False
        self._head_bytes = len(self.url) + sum(len(n) + len(v) + FIELD for n, v in self.headers)
        self._body_since, self._body_bytes, self._framing_bytes = self.loop.time(), 0, 0
        if self._head_is_too_large():  # it may have come in one piece
            self._refused = True
            self.refuse(431, TOO_LARGE)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count it."""
        self._body_bytes += len(body)
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._body_since = None
        if not self._refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Send the rest of the response at once; the next request may follow."""
        self.transport.flush()  # type: ignore[attr-defined]  # ours, of `connection_made`
        self._head_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        self._stalled_since = None
        super().resume_writing()

    @property
    def idle_since(self) -> float | None:
        """When the connection became idle; None while it handles a request."""
        return self._head_since

    def sweep(self, now: float) -> None:
        """Close the connection if something is overdue."""
        limits = self._limits
        if _overdue(self._stalled_since, now, limits.write_s):
            self._reset()
        elif _overdue(self._head_since, now, limits.header_s):
            if self._in_head:
                self.refuse(408, "The request's head did not come in time")
            else:  # who has sent nothing is told nothing
                self.transport.close()
        elif self._body_is_overdue(now):
            self.refuse(408, "The request's body did not come in time")

    def refuse(self, status: int, words: str, retry_after_s: int | None = None) -> None:
        """Send an error unless a response has begun, and close the connection."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            path = self.scope.get("path", "") if self.scope else ""  # none before the first head
            self.transport.write(_response(path, status, words, retry_after_s))
        self.transport.close()
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # nothing more is written for it
            cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP in the same format as every other error."""
        self.transport.write(_response("", 400, "This is not a valid HTTP request", None))
        self.transport.close()

    def _head_is_too_large(self) -> bool:
        """Whether the head is, or what is sent around a body: more than for chunks of a byte."""
        most = self._limits.header_bytes
        return self._head_bytes > most or self._framing_bytes > most + CHUNK * self._body_bytes

    def _body_is_overdue(self, now: float) -> bool:
        """Whether the client is too slow; not while we have paused reading ourselves."""
        allowed_s = self._limits.body_s + self._body_bytes / LEAST_RATE
        return not self.flow.read_paused and _overdue(self._body_since, now, allowed_s)

    def _reset(self) -> None:
        """Close the connection and let the kernel discard what it has buffered for the client."""
        socket = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            socket.setsockopt(SOL_SOCKET, SO_LINGER, AT_ONCE)
        self.transport.abort()

    def _made_room(self) -> bool:
        idle = [
            (c.idle_since, c)
            for c in self.connections
            if isinstance(c, LimitedProtocol) and c is not self and c.idle_since is not None
        ]
        if not idle:
            return False
        _, longest = min(idle, key=lambda pair: pair[0])
        self.connections.discard(longest)
        longest.transport.abort()
        return True


def limited(limits: ConnectionLimits) -> Any:
    """Return the class from which uvicorn creates its connections."""
    return partial(LimitedProtocol, limits=limits)


async def sweep(server: Server) -> None:
    """Close what is overdue, for as long as the server runs."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_S)
        now = loop.time()
        for connection in list(server.server_state.connections):
            if isinstance(connection, LimitedProtocol) and not connection.transport.is_closing():
                connection.sweep(now)


def _overdue(since: float | None, now: float, allowed_s: float) -> bool:
    return since is not None and now - since > allowed_s


PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def _response(path: str, status: int, words: str, retry_after_s: int | None) -> bytes:
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": words, "type": kind, "param": None, "code": "http_error"}
    body = json.dumps(shaped(path, {"error": error}, status), separators=(",", ":"))
    lines = [
        f"HTTP/1.1 {status} {PHRASES[status]}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        f"x-request-id: req_{secrets.token_hex(12)}",
        *([] if retry_after_s is None else [f"retry-after: {retry_after_s}"]),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
