"""The span of each request of the API."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collegium.experts.tracing import within
from collegium.web.front import API
from collegium.web.request_id import trace_of
from collegium.web.telemetry.telemetry import Telemetry


class RequestSpans:
    """ASGI middleware: a server span, as a child of the caller's if `traceparent` is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Trace requests under `/v1`; pages and health checks are not part of the API."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{API}/"):
            return await self._app(scope, receive, send)
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"]
        telemetry: Telemetry = scope["app"].state.parts.telemetry
        span = telemetry.server(method, trace_of(Headers(scope=scope)))
        with within(span):
            try:
                await self._app(scope, receive, noting)
            finally:
                route = getattr(scope.get("route"), "path", None)
                span.rename(f"{method} {route}" if route else method)
                span.add(
                    {
                        "http.request.method": method,
                        "http.route": route,
                        "http.response.status_code": status,
                        "collegium.request.id": scope["state"]["request_id"],
                    }
                )
                if status >= 500:
                    span.failed(str(status))
