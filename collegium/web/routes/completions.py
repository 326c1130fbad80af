"""POST /v1/completions: each prompt is routed and answered like a chat."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from collegium.web.lean_route import LeanRoute, in_body
from collegium.web.protocols.completions import CompletionRequest, completions_of
from collegium.web.routes.answering import ApplicationName, SessionId, answer

routes = APIRouter(route_class=LeanRoute)


@routes.post("/v1/completions")
async def completions(
    request: Request, body: CompletionRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Complete one or several prompts, whole or as server-sent events."""
    try:
        asked = completions_of(body)
    except ValidationError as exc:
        raise in_body(exc) from exc
    if len(asked) == 1:
        return await answer(request, asked[0])
    from collegium.web.routes.several import answer_all  # most requests have one prompt

    return await answer_all(request, asked)
