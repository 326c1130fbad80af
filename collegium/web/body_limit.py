"""Refuse request bodies that are too large, whether or not they declare their length.

Compressed bodies are inflated here, and count as what they become.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collegium.errors import BadRequest, CollegiumError
from collegium.web.errors import error_response, headers_of

if TYPE_CHECKING:
    from collegium.web.inflating import Inflation

MOST_HELD = 2**29
"""Bytes of bodies that may be in memory at once: 16 of the largest size."""


class BodyTooLarge(BadRequest):
    """The request's body is larger than the settings allow."""

    http_status = 413
    code = "body_too_large"


class BodiesTooLarge(CollegiumError):
    """The bodies of all requests together take as much memory as they may."""

    http_status = 503
    code = "bodies_too_large"
    retry_after_s = 1


@dataclass
class Held:
    """How many bytes of one request's body are in memory."""

    size: int = 0


class BodyLimit:
    """ASGI middleware that reads each body and counts its bytes. `most` is in bytes.

    Uploads to the paths in `streamed` count for themselves: they are too large to wait for here.
    """

    def __init__(
        self,
        app: ASGIApp,
        most: int,
        streamed: tuple[str, ...] = (),
        *,
        most_held: int = MOST_HELD,
    ) -> None:
        self._app = app
        self._most = most
        self._most_held = max(most_held, most)
        self._held = 0
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 at once for a declared length, otherwise once the limit is exceeded."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        held = Held()
        try:
            try:
                received = await self._received(scope, receive, held)
            except CollegiumError as exc:
                refusal = error_response(scope["path"], exc, headers_of(exc))
                return await refusal(scope, receive, send)
            await self._app(scope, received, send)
        finally:
            self._held -= held.size

    async def _received(self, scope: Scope, receive: Receive, held: Held) -> Receive:
        """Return the receive function for the handler; the body may already have been read
        completely.

        It is read here and not while the handler reads: there, our error would be taken for a bad
        body.
        """
        inflation = _inflation(scope)
        if scope["path"] in self._streamed:
            if inflation is not None:
                raise BadRequest("Send files uncompressed, without Content-Encoding")
            return receive
        if self._declared(scope) > self._most:
            raise too_large(self._most)
        messages = [message async for message in self._read(receive, inflation, held)]
        if inflation is not None:
            _say_inflated(scope, held.size)
        waiting = iter(messages)

        async def replayed() -> Message:
            return next(waiting, None) or await receive()

        return replayed

    async def _read(
        self, receive: Receive, inflation: Inflation | None, held: Held
    ) -> AsyncIterator[Message]:
        """The messages of one body."""
        seen, more = 0, True
        while more:
            message = await receive()
            data, more = message.get("body", b""), bool(message.get("more_body"))
            seen += len(data)
            if seen > self._most:
                raise too_large(self._most)
            if inflation is None or message["type"] != "http.request":
                self._hold(len(data), held)
                yield message
                continue
            async for piece in inflation.of(data, last=not more):
                self._hold(len(piece), held)
                yield {"type": "http.request", "body": piece, "more_body": True}
            if not more:
                yield {"type": "http.request", "body": b"", "more_body": False}

    def _hold(self, size: int, held: Held) -> None:
        """Count bytes of a body that are in memory until its request has been answered."""
        held.size += size
        self._held += size
        if held.size > self._most:
            raise too_large(self._most)
        if self._held > self._most_held:
            raise BodiesTooLarge(
                "The service is already holding as many large bodies as it can; retry later"
            )

    @staticmethod
    def _declared(scope: Scope) -> int:
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


def too_large(most: int, setting: str = "max_body_mib") -> BodyTooLarge:
    """The refusal of what has more bytes than `most`, as the setting has it."""
    return BodyTooLarge(f"The body is larger than {most / 2**20:.3g} MiB (setting `{setting}`)")


def _inflation(scope: Scope) -> Inflation | None:
    """Return what inflates the body; None if it is not compressed."""
    encoding = ",".join(Headers(scope=scope).getlist("content-encoding")).strip().lower()
    if encoding in ("", "identity"):
        return None
    from collegium.web.inflating import Inflation  # few bodies are compressed

    return Inflation(encoding)


def _say_inflated(scope: Scope, size: int) -> None:
    """Have the headers tell of the body as the handler gets it."""
    headers = MutableHeaders(scope=scope)
    del headers["content-encoding"]
    headers["content-length"] = str(size)
