"""The outermost middleware: normalises the path and assigns the request id.

Everything behind it, the look at keys included, sees one spelling of each path. Also what every
response says to browsers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collegium.web.request_id import DECISION, HEADER, PRESENT, request_id

API = "/v1"
NOTHING = "default-src 'none'; frame-ancestors 'none'"
"""The content security policy of responses that are not pages."""
SLASHES, TWICE = re.compile(rb"//+"), re.compile(rf"^(?:{API})+(?={API}/)")


class Front:
    """ASGI middleware. `routes` are the application's, when all of them are there."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        paths = (str(getattr(route, "path", "")) for route in routes)
        self._heads = {path.split("/")[2] for path in paths if path.startswith(f"{API}/")}
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Change the scope in place: the outermost handler of errors has to see it as well."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        self._put_right(scope)
        name = request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = name
        token, of_decision = PRESENT.set(name), DECISION.set("")
        try:
            await self._app(scope, receive, _telling(send, said_by_all(name)))
        finally:
            PRESENT.reset(token)
            DECISION.reset(of_decision)

    def _put_right(self, scope: Scope) -> None:
        """Collapse repeated slashes, drop trailing ones, and reduce repeated `/v1` prefixes to one.

        Slashes that the caller escaped (`%2F`) belong to a name, and stay.
        """
        path: str = scope["path"]
        if "//" in f"{path}/":
            raw = SLASHES.sub(b"/", scope.get("raw_path") or path.encode())
            path = unquote((raw.rstrip(b"/") or b"/").decode("latin-1"))
        path = TWICE.sub("", path)
        if path[1:].partition("/")[0] in self._heads:
            path = API + path
        scope["path"] = path


def said_by_all(name: str) -> dict[str, str]:
    """The headers that every response has."""
    return {
        HEADER: name,
        "x-content-type-options": "nosniff",
        "content-security-policy": NOTHING,
    }


def said_of(request: HTTPConnection) -> dict[str, str]:
    """Add the same headers to the answer for unexpected failures, which bypasses all middleware."""
    name = getattr(request.state, "request_id", None)
    return {} if name is None else said_by_all(name)


def _telling(send: Send, said: dict[str, str]) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            for name, value in said.items():
                headers.setdefault(name, value)
        await send(message)

    return telling
