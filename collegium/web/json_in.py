"""Limits on what callers send: JSON's depth, values and text, and the names of query parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from difflib import get_close_matches
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from collegium.errors import BadRequest
from collegium.json_bounds import excess
from collegium.web.body_limit import BodyTooLarge
from collegium.web.errors import unreadable

MOST_VALUES = 50_000
"""For a conversation with its tools: about this many take a twentieth of a second to check."""
FEW_VALUES, FEW_BYTES = 2_000, 4 * 2**20
"""For any other body."""
PASSED_OVER = {
    "api-version",  # Azure's clients send it with every request
    "beta",  # so do Anthropic's
    "include",  # the parameters of OpenAI's client for a stored response
    "include[]",
    "include_obfuscation",
    "starting_after",
}
"""Parameters that the clients of OpenAI, Azure and Anthropic send, and that select nothing here."""
FOR_ANY_CLIENT = "/v1/models"
"""A path that nearly every client reads first, some with parameters of their own; it has none."""
SELECTING = ("GET", "DELETE")
"""Methods whose query says what is meant."""
LONGEST_NAME = 100


class CheckedRoute(APIRoute):
    """A route whose JSON body is checked before FastAPI reads it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler, after the check."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if self.body_field is not None:
                _check(await request.body())
            return await handle(request)

        return checked


def check_json(data: bytes, most_values: int = MOST_VALUES) -> None:
    """Raise RequestValidationError if JSON is nested too deeply or has too many values."""
    if (why := excess(data, most_values)) is not None:
        raise not_json(why)


def not_json(words: str) -> RequestValidationError:
    """The refusal of a body that can't be read."""
    problem = {"type": "json_invalid", "loc": ("body",), "msg": words, "ctx": {"error": words}}
    return RequestValidationError([problem])


def _check(data: bytes) -> None:
    """Refuse what can't be stored; invalid JSON is left to FastAPI."""
    if len(data) > FEW_BYTES:
        raise BodyTooLarge(
            f"The body is larger than {FEW_BYTES >> 20} MiB, the limit for this path"
        )
    check_json(data, FEW_VALUES)
    try:
        json.dumps(json.loads(data), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise not_json("a string contains an unpaired surrogate") from None
    except (ValueError, RecursionError) as exc:
        if data and not isinstance(exc, json.JSONDecodeError):
            raise not_json(unreadable(exc)) from exc


async def known_parameters(request: Request) -> None:
    """Raise BadRequest for a parameter that the route of a GET or DELETE does not know: a filter
    that is misspelt must not widen what is listed or deleted.
    """
    route, path = request.scope.get("route"), request.scope["path"]
    if path == FOR_ANY_CLIENT or path.startswith(f"{FOR_ANY_CLIENT}/"):
        return
    if request.method not in SELECTING or not request.query_params:
        return
    if not isinstance(route, APIRoute):
        return
    known = dict.fromkeys(_names(route.dependant))
    for name in request.query_params:
        if name not in known and name not in PASSED_OVER:
            raise BadRequest(_told(name[:LONGEST_NAME], list(known)), name[:LONGEST_NAME])


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (str(field.alias) for field in dependant.query_params)
    for part in dependant.dependencies:
        yield from _names(part)


def _told(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    available = f"Available: {', '.join(known)}" if known else "This path takes none"
    return f"There is no query parameter {name!r} here.{hint} {available}"
