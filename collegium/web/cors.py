"""Let browser pages of other sites use the API, for the origins that the settings list."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from collegium.errors import Forbidden
from collegium.web.errors import error_body


class Cors(CORSMiddleware):
    """Starlette's middleware. Preflights are answered here, before a key is asked for.

    Credentials are never allowed: a key is sent in a header by the page that has it, and not by the
    browser.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("*",),
            allow_headers=("*",),
            expose_headers=("*",),
            allow_private_network=True,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """An empty response if the page may proceed, otherwise an error in the API's format."""
        response = super().preflight_response(request_headers)
        headers = {k: v for k, v in response.headers.items() if not k.startswith("content-")}
        if response.status_code == 200:
            return Response(status_code=204, headers=headers)
        refusal = Forbidden("The setting `cors_origins` does not allow this page's requests")
        return JSONResponse(error_body(refusal), refusal.http_status, headers)
