"""Limits on JSON from callers: its depth, its number of values, and text that can be stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from collegium.json_bounds import excess
from collegium.web.body_limit import BodyTooLarge
from collegium.web.errors import unreadable

MOST_VALUES = 50_000
"""For a conversation with its tools: about this many take a twentieth of a second to check."""
FEW_VALUES, FEW_BYTES = 2_000, 4 * 2**20
"""For any other body."""


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
