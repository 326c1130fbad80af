"""The first check of every request, before its body is read: host, origin and key.

Also the record of administrative changes.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from collegium.errors import BadRequest, CollegiumError, Forbidden
from collegium.registry.key import Caller
from collegium.web.auth import note_caller
from collegium.web.errors import error_response, headers_of
from collegium.web.serving.audit import Audit, is_administrative

GUARDED = "/v1"
METRICS = "/metrics"
"""It wants a key, for its labels name applications; it is also read while the service ends."""
READING = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Gate:
    """ASGI middleware that refuses requests without a valid key or from another site's page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on admitted requests; the others are answered without being read."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        guarded = f"{scope['path']}/".startswith(f"{GUARDED}/")
        try:
            _refuse_other_sites(scope)
            wants_key = guarded or scope["path"] == METRICS
            caller = note_caller(HTTPConnection(scope)).name if wants_key else ""
            if guarded and (refusal := scope["app"].state.parts.draining.refusal()) is not None:
                raise refusal
        except CollegiumError as exc:
            _record_refusal(scope, exc)
            headers = {**headers_of(exc), "Connection": "close"}  # its body is still to come
            return await error_response(scope["path"], exc, headers)(scope, receive, send)
        if guarded and is_administrative(scope):
            audit: Audit = scope["app"].state.parts.audit
            return await audit.watched(self._app, caller)(scope, receive, send)
        await self._app(scope, receive, send)


def _record_refusal(scope: Scope, error: CollegiumError) -> None:
    """Record that a key which may only read was to change something; its body is not read."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    if caller is not None and isinstance(error, Forbidden) and is_administrative(scope):
        audit: Audit = scope["app"].state.parts.audit
        audit.record(scope, caller.name, error.http_status, b"")


def _refuse_other_sites(scope: Scope) -> None:
    """Refuse cross-site requests: without keys a browser has its user's rights, so only our own
    page may make changes.

    Pages of the setting `cors_origins` may ask, but for administrative changes they need a key.
    """
    settings = scope["app"].state.parts.settings
    if scope["method"] in READING or settings.api_key is not None:
        return
    headers = Headers(scope=scope)
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    own = origin is None or _address(origin) == headers.get("host", "").lower()
    if site in ("none", "same-origin") and own:
        return
    if not settings.cors_origins or not {origin, "*"} & set(settings.cors_origins):
        raise Forbidden(
            "This request comes from another site's page; name its origin in the setting "
            "`cors_origins`, or set an api_key, to allow that"
        )
    if is_administrative(scope):
        raise Forbidden("Another site's page may change nothing here without a key: set an api_key")


def _address(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


class LoopbackHosts:
    """ASGI middleware that looks at the Host header, whatever the port.

    Another site's page may reach 127.0.0.1 under a name of its own (DNS rebinding); its browser
    tells that name.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is asked of this machine; answer 400 to the rest."""
        if scope["type"] == "lifespan" or _host(Headers(scope=scope).get("host", "")) in LOOPBACK:
            return await self._app(scope, receive, send)
        refusal = BadRequest(f"This service answers to {', '.join(LOOPBACK)} only", "host")
        await error_response(scope.get("path", ""), refusal)(scope, receive, send)


def _host(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None
