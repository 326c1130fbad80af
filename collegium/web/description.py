"""The API's description, /openapi.json: built once and aside, with errors in their one format."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

ERROR: dict[str, Any] = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        },
    },
}
REFERENCE = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
ERRORS = {
    "4XX": {"description": "The caller can mend it.", "content": REFERENCE},
    "5XX": {"description": "The service or an expert failed.", "content": REFERENCE},
}


PATH = "/openapi.json"


def describe(app: FastAPI) -> None:
    """Have the application describe errors as it answers them, and serve the description."""
    described: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _tell_errors(described())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it
    page = _Page(app)

    async def described_api(_: Request) -> Response:
        return Response(await page.body(), media_type="application/json")

    app.add_route(PATH, described_api, include_in_schema=False)


class _Page:
    """The description as bytes; building it takes seconds, so a thread does it when first asked."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._body: bytes | None = None
        self._building = asyncio.Lock()

    async def body(self) -> bytes:
        """Return it; whoever else asks meanwhile waits for the same."""
        async with self._building:
            if self._body is None:
                self._body = await asyncio.to_thread(self._built)
            return self._body

    def _built(self) -> bytes:
        return bytes(JSONResponse(self._app.openapi()).body)


def _tell_errors(schema: dict[str, Any]) -> None:
    known = schema.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    known["Error"] = ERROR
    for operations in schema["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)  # FastAPI's own, which is answered in our shape
            responses.update(ERRORS)
            if _may_stream(operation, known):
                responses["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}


def _may_stream(operation: dict[str, Any], known: dict[str, Any]) -> bool:
    """Whether the body has a field that asks for server-sent events."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = str(body.get("schema", {}).get("$ref", "")).rpartition("/")[2]
    return "stream" in known.get(name, {}).get("properties", {})
