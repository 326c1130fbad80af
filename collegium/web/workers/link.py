"""Calls in both directions over one connection between two processes of this service."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec

from collegium.errors import CollegiumError, StateUnavailable

log = logging.getLogger(__name__)
SHORT = 16_384
"""Bytes that the socket of an idle link takes at once: 200 KB on Linux."""
HEAD = 4
"""Bytes of a message's length, which comes before it."""
CALL, RESULT, ERROR, TOLD = 0, 1, 2, 3
Handle = Callable[[str, Sequence[Any]], Awaitable[Any]]


class Link(asyncio.Protocol):
    """One end. `handle` answers the calls of the other end; `lost` is called when that is gone."""

    def __init__(self, handle: Handle, lost: Callable[[], None]) -> None:
        self._handle = handle
        self._lost = lost
        self._received = bytearray()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call the other end; raise StateUnavailable if it is gone or fails."""
        transport = self._open_transport()
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        _write(transport, msgspec.msgpack.encode((CALL, number, name, arguments)))
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    async def tell(self, name: str, *arguments: Any) -> None:
        """Have the other end do something before whatever anybody asks of it afterwards; raise
        StateUnavailable if it is gone.

        What the socket takes at once is not waited for. Its failures are in the other end's log.
        """
        transport = self._open_transport()
        body = msgspec.msgpack.encode((TOLD, 0, name, arguments))
        if transport.get_write_buffer_size() + len(body) > SHORT:
            await self.call(name, *arguments)
        else:
            _write(transport, body)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The other end is there."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Take the whole messages among what has come."""
        received = self._received
        received += data
        start = 0
        while len(received) - start >= HEAD:
            end = start + HEAD + int.from_bytes(received[start : start + HEAD], "big")
            if len(received) < end:
                break
            self._take(msgspec.msgpack.decode(memoryview(received)[start + HEAD : end].tobytes()))
            start = end
        del received[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody will answer any more."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(StateUnavailable("the connection to the owner is lost"))
        for task in self._answering:
            task.cancel()
        self._lost()

    def _take(self, message: Sequence[Any]) -> None:
        kind, number, *rest = message
        if kind in (CALL, TOLD):
            task = asyncio.ensure_future(self._answer(kind, number, *rest))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif (answer := self._waiting.get(number)) is not None and not answer.done():
            if kind == RESULT:
                answer.set_result(rest[0])
            else:
                answer.set_exception(StateUnavailable(rest[0]))

    async def _answer(self, kind: int, number: int, name: str, arguments: Sequence[Any]) -> None:
        answer: tuple[Any, ...]
        try:
            answer = RESULT, number, await self._handle(name, arguments)
        except CollegiumError as exc:
            answer = ERROR, number, str(exc)
        except Exception:  # the outermost handler: one call fails, and the others go on
            log.exception("the call %s between two processes of the service failed", name)
            answer = ERROR, number, f"{name} failed; the log of the service says why"
        if kind == CALL:
            self._send(answer)

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise StateUnavailable("the process that owns this service's state is gone")
        return self._transport

    def _send(self, message: object) -> None:
        if self._transport is not None and not self._transport.is_closing():
            _write(self._transport, msgspec.msgpack.encode(message))


def _write(transport: asyncio.Transport, body: bytes) -> None:
    transport.write(len(body).to_bytes(HEAD, "big") + body)
