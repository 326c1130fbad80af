"""Errors as callers see them: OpenAI's shape, our words."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from collegium.errors import CollegiumError, ExpertError
from collegium.redaction import redacted

log = logging.getLogger(__name__)
MOST_TOLD, LONGEST_MESSAGE = 20, 2000
"""Of what is wrong with one body."""


def error_body(error: CollegiumError) -> dict[str, Any]:
    """The JSON of one of our errors."""
    kind = "invalid_request_error" if error.http_status < 500 else "server_error"
    if error.http_status == 429:  # as OpenAI calls it
        kind = "rate_limit_error"
    words = error.public if error.http_status < 500 else redacted(error.public)
    return _body(words, kind, error.code, getattr(error, "param", None))


def headers_of(error: CollegiumError) -> dict[str, str]:
    """When to come again, where that is known."""
    return {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}


def unexpected() -> CollegiumError:
    """What callers learn of a failure that nobody foresaw."""
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
    return JSONResponse(error_body(exc), exc.http_status, headers_of(exc))


async def _invalid(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    problems = [{**p, "loc": p["loc"][1:]} for p in exc.errors()[:MOST_TOLD]]
    return JSONResponse(invalid_body(problems), 400)


def invalid_body(problems: Sequence[Any]) -> dict[str, Any]:
    """The JSON of what pydantic found wrong with a body."""
    if any(p["type"] == "json_invalid" for p in problems):
        return _broken_body(str(problems[0]["ctx"]["error"]))
    path = [".".join(map(str, p["loc"])) or "body" for p in problems]
    words = [f"{where}: {p['msg']}" for where, p in zip(path, problems, strict=True)]
    message = "; ".join(dict.fromkeys(words))[:LONGEST_MESSAGE]
    return _body(message, "invalid_request_error", "invalid_request", path[0] if path else None)


async def _http(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    if isinstance(exc.__cause__, UnicodeDecodeError | RecursionError):  # of FastAPI's own reading
        return _broken(unreadable(exc.__cause__))
    body = _body(str(exc.detail), "invalid_request_error", "http_error", None)
    return JSONResponse(body, exc.status_code, exc.headers)


def unreadable(exc: Exception) -> str:
    """Why a body can't be read as JSON, in words."""
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    return getattr(exc, "msg", None) or "it is not in UTF-8"


def _broken(why: str) -> JSONResponse:
    return JSONResponse(_broken_body(why), 400)


def _broken_body(why: str) -> dict[str, Any]:
    message = f"The body is not valid JSON: {why}"
    return _body(message, "invalid_request_error", "invalid_json", None)


async def _unexpected(request: Request, exc: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=exc)
    # The server closes the connection after what we did not foresee; clients have to know it, or
    # their next request on it fails.
    return JSONResponse(error_body(unexpected()), 500, {"Connection": "close"})


def _body(message: str, kind: str, code: str, param: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
