"""Refuse request bodies that are too large, whether they say their length or not."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collegium.errors import BadRequest
from collegium.web.error_responses import error_body


class BodyTooLarge(BadRequest):
    """The request's body is larger than the settings allow."""

    http_status = 413
    code = "body_too_large"


class BodyLimit:
    """ASGI middleware that counts the bytes of each body. `most` is in bytes."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 at once for a declared length, else when the bytes have come."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if self._declared(scope) > self._most:
            response = JSONResponse(error_body(self._error()), 413)
            return await response(scope, receive, send)
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise self._error()
            return message

        await self._app(scope, counted, send)

    def _error(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body is larger than {self._most / 2**20:g} MiB")

    @staticmethod
    def _declared(scope: Scope) -> int:
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        return int(lengths[0]) if lengths and lengths[0].isdigit() else 0
