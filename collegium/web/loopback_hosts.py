"""Refuse requests whose Host header names another host than this machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from collegium.errors import BadRequest
from collegium.web.errors import error_response

LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
