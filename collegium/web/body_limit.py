"""Refuse request bodies that are too large, whether they say their length or not."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collegium.errors import BadRequest
from collegium.web.errors import error_body


class BodyTooLarge(BadRequest):
    """The request's body is larger than the settings allow."""

    http_status = 413
    code = "body_too_large"


class BodyLimit:
    """ASGI middleware that counts the bytes of each body. `most` is in bytes.

    Uploads to the paths in `streamed` count for themselves: they are too large to wait for here.
    """

    def __init__(self, app: ASGIApp, most: int, streamed: tuple[str, ...] = ()) -> None:
        self._app = app
        self._most = most
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 at once for a declared length, else as soon as the bytes are too many."""
        if scope["type"] != "http" or scope["path"] in self._streamed:
            return await self._app(scope, receive, send)
        if self._declared(scope) > self._most:
            response = JSONResponse(error_body(too_large(self._most)), 413)
            return await response(scope, receive, send)
        # Read here, not while the handler reads: there, our error would be taken for a bad body.
        messages, seen, more = [], 0, True
        while more:
            message = await receive()
            messages.append(message)
            seen += len(message.get("body", b""))
            more = bool(message.get("more_body"))
            if seen > self._most:
                response = JSONResponse(error_body(too_large(self._most)), 413)
                return await response(scope, receive, send)
        waiting = iter(messages)

        async def replayed() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replayed, send)

    @staticmethod
    def _declared(scope: Scope) -> int:
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


def too_large(most: int) -> BodyTooLarge:
    """The refusal of what has more bytes than `most`."""
    return BodyTooLarge(f"The body is larger than {most / 2**20:.3g} MiB")
