"""The first look at every request, before a byte of its body is read: site, key, headers.

Also what every response says to browsers, and the record of administrative changes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collegium.errors import CollegiumError, Forbidden
from collegium.web.auth import note_caller
from collegium.web.errors import error_body, headers_of
from collegium.web.serving.audit import Audit, is_administrative

GUARDED = "/v1/"
READING = ("GET", "HEAD", "OPTIONS")
NOTHING = "default-src 'none'; frame-ancestors 'none'"
"""The content security policy of what is no page."""


class Gate:
    """ASGI middleware: refuses what has no key or comes from another site's page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may come in; the rest is answered without being read."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        send = _sealed(send)
        guarded = scope["path"].startswith(GUARDED)
        try:
            _refuse_other_sites(scope)
            caller = note_caller(HTTPConnection(scope)) if guarded else ""
            if guarded and (refusal := scope["app"].state.parts.draining.refusal()) is not None:
                raise refusal
        except CollegiumError as exc:
            headers = {**headers_of(exc), "Connection": "close"}  # its body is still to come
            return await JSONResponse(error_body(exc), exc.http_status, headers)(
                scope, receive, send
            )
        if guarded and is_administrative(scope):
            audit: Audit = scope["app"].state.parts.audit
            return await audit.watched(self._app, caller)(scope, receive, send)
        await self._app(scope, receive, send)


def _refuse_other_sites(scope: Scope) -> None:
    """Without keys a browser is as good as its user: only our own page may change anything."""
    if scope["method"] in READING or scope["app"].state.parts.settings.api_key is not None:
        return
    headers = Headers(scope=scope)
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    own = origin is None or _address(origin) == headers.get("host", "").lower()
    if site not in ("none", "same-origin") or not own:
        raise Forbidden("This request comes from another site's page; set an api_key to allow that")


def _address(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _sealed(send: Send) -> Send:
    """Says with every response what browsers may do with it."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("content-security-policy", NOTHING)
        await send(message)

    return sealed
