"""Errors as callers see them: in OpenAI's or Anthropic's format, depending on the path."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route

from collegium.errors import CollegiumError, ExpertError, LimitReached
from collegium.redaction import redacted
from collegium.web.front import said_of
from collegium.web.request_id import PRESENT, new_id
from collegium.web.wording import model_of, problems_in_words

log = logging.getLogger(__name__)
MOST_TOLD, LONGEST_MESSAGE = 20, 2000
"""Limits on how many problems of one body are reported, and at what length."""
MESSAGES = "/v1/messages"
"""Errors of this path and of those below it have Anthropic's shape."""
TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's types of error by status; of others by whether the fault is the caller's."""
API = "/v1/"
LONGEST_PATH = 200
"""Characters of a path that are repeated to the caller."""


def error_body(error: CollegiumError) -> dict[str, Any]:
    """Return the JSON of a CollegiumError."""
    kind = "invalid_request_error" if error.http_status < 500 else "server_error"
    kind = {402: "insufficient_quota", 429: "rate_limit_error"}.get(error.http_status, kind)
    words = error.public if error.http_status < 500 else redacted(error.public)
    return _body(words, kind, error.code, getattr(error, "param", None))


def shaped(path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
    """The JSON of an error as the protocol of the path has it."""
    if path != MESSAGES and not path.startswith(f"{MESSAGES}/"):
        return body
    return anthropic_body(body["error"]["message"], status)


def anthropic_body(message: str, status: int) -> dict[str, Any]:
    """The JSON of an error in Anthropic's shape."""
    usual = "invalid_request_error" if status < 500 else "api_error"
    return {
        "type": "error",
        "error": {"type": TYPES.get(status, usual), "message": message},
        "request_id": PRESENT.get() or new_id(),
    }


def error_response(
    path: str, error: CollegiumError, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the response to a request for the path that failed with a CollegiumError."""
    return _response(path, error_body(error), error.http_status, headers)


def headers_of(error: CollegiumError) -> dict[str, str]:
    """Return the headers with the retry delay and the remaining limits, if known."""
    told = dict(error.headers) if isinstance(error, LimitReached) else {}
    return told if error.retry_after_s is None else told | {"Retry-After": str(error.retry_after_s)}


def unexpected() -> CollegiumError:
    """Return what callers are told of an unexpected failure."""
    return CollegiumError("Something unexpected failed in the service; its log says what")


def install(app: FastAPI) -> None:
    """Answer every kind of error in the one shape."""
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(CollegiumError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _gone(_: Request, exc: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _ours(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, CollegiumError)
    if exc.http_status >= 500 and not isinstance(exc, ExpertError):  # an expert's is logged there
        log.error("%s %s: %s", request.method, request.url.path, exc.whole)
    return error_response(request.url.path, exc, headers_of(exc))


async def _invalid(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    problems = [{**p, "loc": p["loc"][1:]} for p in exc.errors()[:MOST_TOLD]]
    body = invalid_body(problems, model_of(request.scope.get("route")))
    return _response(request.url.path, body, 400)


def invalid_body(problems: Sequence[Any], model: type[BaseModel] | None = None) -> dict[str, Any]:
    """The JSON of what pydantic found wrong with a body, which was to be a `model`."""
    if any(p["type"] == "json_invalid" for p in problems):
        return _broken_body(str(problems[0]["ctx"]["error"]))
    words = problems_in_words(problems, model)
    message = "; ".join(f"{where} {what}" for where, what in words.items())[:LONGEST_MESSAGE]
    return _body(message, "invalid_request_error", "invalid_request", next(iter(words), None))


async def _http(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    path = request.url.path
    if isinstance(exc.__cause__, UnicodeDecodeError | RecursionError):  # of FastAPI's own reading
        return _response(path, _broken_body(unreadable(exc.__cause__)), 400)
    words, headers = str(exc.detail), exc.headers
    if exc.status_code == 404:
        words = nothing_there(request)
    elif exc.status_code == 405:
        allowed = ", ".join(methods_of(request))
        words = f"{request.method} is not possible at {shown_path(request)}, but {allowed}"
        headers = {"Allow": allowed}
    body = _body(words, "invalid_request_error", "http_error", None)
    return _response(path, body, exc.status_code, headers)


def unreadable(exc: Exception) -> str:
    """Why a body can't be read as JSON, in words."""
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    return getattr(exc, "msg", None) or "it is not in UTF-8"


def _broken_body(why: str) -> dict[str, Any]:
    message = f"The body is not valid JSON: {why}"
    return _body(message, "invalid_request_error", "invalid_json", None)


async def _unexpected(request: Request, exc: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=exc)
    # The server closes the connection after what we did not foresee; clients have to know it, or
    # their next request on it fails.
    headers = {"Connection": "close", **said_of(request)}
    return error_response(request.url.path, unexpected(), headers)


def _response(
    path: str, body: dict[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    body = shaped(path, body, status)
    named = {"request-id": body["request_id"]} if "request_id" in body else {}
    return AsciiJson(body, status, {**(headers or {}), **named})


class AsciiJson(JSONResponse):
    """JSON in ASCII: what a caller sent, and an error quotes, need not be good Unicode."""

    def render(self, content: Any) -> bytes:
        """The content as bytes."""
        return json.dumps(content, separators=(",", ":")).encode()


def _body(message: str, kind: str, code: str, param: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def shown_path(request: Request) -> str:
    """The path that was asked for, bounded and printable."""
    return ascii(request.scope["path"][:LONGEST_PATH])


def nothing_there(request: Request) -> str:
    """Names the path and the endpoints that exist, those that are alike first."""
    path = request.scope["path"]
    paths = dict.fromkeys(r.path for r in _routes(request) if r.path.startswith(API))
    if not path.startswith(API) and path.count("/") > 1:  # such as a file of the page
        return f"There is nothing at {shown_path(request)}"
    close = get_close_matches(path[:LONGEST_PATH], paths, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"There is no endpoint {shown_path(request)}.{hint} Available: {', '.join(paths)}"


def methods_of(request: Request) -> list[str]:
    """The methods that the request's path allows."""
    scope = dict(request.scope)
    found = {
        method
        for route in _routes(request)
        if route.matches(scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    return sorted(found)


def _routes(request: Request) -> list[Route]:
    return [route for route in request.app.routes if isinstance(route, Route)]
