"""A worker answers what experts answer; everything else the owner answers, through the worker."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collegium.errors import ShuttingDown
from collegium.web.errors import error_response, headers_of
from collegium.web.request_id import HEADER

log = logging.getLogger(__name__)
OWN = frozenset(
    {
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/route"),  # by what this worker has measured, as its answers are
        ("POST", "/v1/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/models"),
    }
)
"""What a worker answers itself."""
ADDRESS = b"x-collegium-client"
"""Tells the owner who asked; nobody but workers reaches its socket."""
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}
)


class Forward:
    """ASGI middleware of a worker."""

    def __init__(self, app: ASGIApp, socket: str) -> None:
        self._app = app
        self._socket = socket
        self._http: httpx.AsyncHTTPTransport | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it here, or pass on the request and its answer as they come."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) in OWN:
            return await self._app(scope, receive, send)
        try:
            response = await self._transport().handle_async_request(_request(scope, receive))
        except httpx.TransportError as exc:
            log.warning("the owner of the service does not answer: %s", exc)
            refusal = ShuttingDown("The service is about to end, or starts again; ask again")
            answer = error_response(scope["path"], refusal, headers_of(refusal))
            return await answer(scope, receive, send)
        try:
            await _answer(response, send)
        finally:
            await response.aclose()

    def _transport(self) -> httpx.AsyncHTTPTransport:
        if self._http is None:
            self._http = httpx.AsyncHTTPTransport(uds=self._socket, verify=False)
        return self._http


def _request(scope: Scope, receive: Receive) -> httpx.Request:
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name.decode("latin-1") not in HOP_BY_HOP and name not in (ADDRESS, HEADER.encode())
    ]
    headers.append((HEADER.encode(), scope["state"]["request_id"].encode()))
    if scope.get("client") is not None:
        headers.append((ADDRESS, scope["client"][0].encode()))
    given = {name for name, _ in scope["headers"]}
    has_body = b"content-length" in given or b"transfer-encoding" in given
    target = scope["path"].encode() if scope.get("raw_path") is None else _raw(scope)
    url = httpx.URL(scheme="http", host="owner", raw_path=target)
    timeout = {"connect": 5.0, "read": None, "write": None, "pool": None}
    return httpx.Request(
        scope["method"],
        url,
        headers=headers,
        content=_body(receive) if has_body else None,
        extensions={"timeout": timeout},
    )


def _raw(scope: Scope) -> bytes:
    query: bytes = scope.get("query_string", b"")
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _answer(response: httpx.Response, send: Send) -> None:
    headers = [
        (name.lower(), value)
        for name, value in response.headers.raw
        if name.lower().decode("latin-1") not in HOP_BY_HOP
    ]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for part in response.stream:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Forwarded:
    """ASGI middleware of the owner: who asked is whom the worker names.

    A change is answered when all workers know of it, so that it counts from the next request on.
    """

    def __init__(self, app: ASGIApp, tell: Callable[[str], Awaitable[None]]) -> None:
        self._app = app
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take over the client's address, and tell the workers of a change."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        with suppress(KeyError):
            scope["client"] = headers[ADDRESS].decode("latin-1"), 0

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                await self._tell(scope["path"])
            await send(message)

        changes = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        await self._app(scope, receive, telling if changes else send)
