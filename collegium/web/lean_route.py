"""A fast path for every request: read JSON, write JSON.

FastAPI's way from a request to a handler's arguments takes 0.2 ms, as much as reading the query and
choosing the expert; the handler's signature still documents the route (`/docs`). JSON is written by
msgspec: an answer with twenty forecasts in 0.02 ms, not 0.1.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from collegium.errors import BadRequest
from collegium.json_bounds import without_half_pairs
from collegium.web.errors import unreadable
from collegium.web.json_in import check_json, not_json

Body = TypeVar("Body", bound=BaseModel)
MOST_ERRORS = 100
LARGE, MOST_LENIENT = 2**20, 4 * 2**20
"""Size in bytes above which a body is parsed in pieces so that others get their turn, and up to
which an unusual body is parsed a second time.
"""


class LeanRoute(APIRoute):
    """Gives the endpoint `request` and `body`, and runs none of the route's dependencies.

    The rest of the endpoint's parameters are for the documentation and have their defaults.
    """

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        model = self.body_field.field_info.annotation if self.body_field else None
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            response: Response = await endpoint(request, await body_of(request, model))
            await response(scope, receive, send)

        self.app = answer  # no stacks for dependencies: the application catches what is raised


async def body_of(request: Request, model: type[Body]) -> Body:
    """The request's JSON as a `model`; RequestValidationError says what is wrong with it.

    Only what is sent as JSON is read: another site's page can send text, but not that.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise BadRequest("Send the body as JSON, with `Content-Type: application/json`")
    data = await request.body()
    check_json(data)
    await _let_others(data)
    try:
        return model.model_validate_json(data)
    except ValidationError as exc:
        if not _is_no_json(exc):
            raise in_body(exc) from exc
        if not _may_be_pythons(exc) or len(data) > MOST_LENIENT:
            raise not_json(str(exc.errors()[0]["ctx"]["error"])) from exc
    await _let_others(data)
    return _leniently(data, model)


async def _let_others(data: bytes) -> None:
    """Between two steps that each take a tenth of a second of a large body."""
    if len(data) > LARGE:
        await asyncio.sleep(0)


def _leniently(data: bytes, model: type[Body]) -> Body:
    """Read what Python calls JSON: it also takes half a surrogate pair, as some clients send.

    Experts get the replacement character instead.
    """
    try:
        return model.model_validate(without_half_pairs(json.loads(data)))
    except ValidationError as exc:
        raise in_body(exc) from exc
    except (ValueError, RecursionError) as exc:  # no JSON, no UTF-8, or nested too deeply
        raise not_json(unreadable(exc)) from exc


def _may_be_pythons(exc: ValidationError) -> bool:
    """Whether JSON was refused for what Python's own writes, such as half a surrogate pair."""
    words = str(exc.errors()[0]["ctx"]["error"])
    return "surrogate" in words or "hex escape" in words or "unicode" in words


def _is_no_json(exc: ValidationError) -> bool:
    return exc.error_count() == 1 and exc.errors()[0]["type"] == "json_invalid"


def in_body(exc: ValidationError) -> RequestValidationError:
    """Return what is wrong with a body, in FastAPI's format."""
    if exc.error_count() > MOST_ERRORS:  # to put them in words would take seconds
        words = f"it has {exc.error_count()} problems; see docs/api.md for what it may hold"
        return RequestValidationError([{"type": "many", "loc": ("body",), "msg": words}])
    return RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in exc.errors()])


class JsonResponse(Response):
    """A response whose content is any value of JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The content as bytes."""
        return to_bytes(content)


def to_bytes(content: Any) -> bytes:
    """JSON in UTF-8, without blanks."""
    try:
        return msgspec.json.encode(content)
    except (UnicodeEncodeError, OverflowError):
        # Half a surrogate pair, which JSON can escape and UTF-8 not hold; an integer of any length.
        plain = msgspec.to_builtins(content)
        return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
