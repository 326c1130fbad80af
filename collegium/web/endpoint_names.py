"""Answers to requests for a path or method that doesn't exist."""

from __future__ import annotations

from difflib import get_close_matches

from fastapi import Request
from starlette.routing import Match, Route

API = "/v1/"
LONGEST_PATH = 200


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
