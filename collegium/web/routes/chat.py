"""POST /v1/chat/completions and POST /v1/route."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from collegium.web.lean_route import JsonResponse, LeanRoute
from collegium.web.parts_of import parts_of
from collegium.web.protocols.chat_answer import Chat
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.routes.answering import ApplicationName, SessionId, answer, prepared
from collegium.web.serving.shapes import decided_json, decision_headers

routes = APIRouter(route_class=LeanRoute)


@routes.post("/v1/route")
async def route(
    request: Request, body: ChatRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Return only the decision: every candidate's forecast, the choice and its reason."""
    parts = parts_of(request)
    async with parts.budgets.admitted(request.state.caller) as limits:
        decided = await parts.pipeline.decide(await prepared(request, body))
    headers = {**decision_headers(decided.decision), **limits}
    return JsonResponse(decided_json(decided), headers=headers)


@routes.post("/v1/chat/completions")
async def chat_completions(
    request: Request, body: ChatRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Route a conversation and answer it, whole or as server-sent events."""
    return await answer(request, Chat(body))
