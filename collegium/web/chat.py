"""POST /v1/chat/completions and POST /v1/route."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse

from collegium.errors import BadRequest, CollegiumError
from collegium.experts.clients.events import Json
from collegium.experts.dispatch.terms import Terms
from collegium.router.conversation import query_text, text_of
from collegium.router.costs import prompt_tokens_of
from collegium.router.decision import Decision, Query
from collegium.router.panels.planning import Wish
from collegium.web.answering import Answer, decide, decision_headers, decision_json
from collegium.web.error_responses import error_body
from collegium.web.json_response import JsonResponse, to_bytes
from collegium.web.lean_route import LeanRoute
from collegium.web.panel_answer import PanelAnswer, plan_json, planned
from collegium.web.panel_request import Aggregate, mode_of, wish_of
from collegium.web.schemas import ChatRequest
from collegium.web.service import Service

routes = APIRouter(route_class=LeanRoute)
SESSION, LONGEST_SESSION = "x-session-id", 128
SessionId = Annotated[str | None, Header(alias=SESSION, max_length=LONGEST_SESSION)]
WATCH_AFTER_S = 0.05
"""Whether a client has left is asked of answers that take longer: to ask takes a task more."""


@routes.post("/v1/route")
async def route(request: Request, body: ChatRequest, _: SessionId = None) -> Response:
    """Decide and answer nothing: every candidate's forecast, the choice and its reason."""
    service: Service = request.app.state.service
    if (mode := mode_of(body)) is not None:
        decision, found = await planned(service, query_of(body), panel_wish(body, mode, service))
        shown = decision_json(decision) | {"panel": plan_json(found)}
        return JsonResponse(shown, headers=decision_headers(decision))
    decision, _candidates = await decide(service, query_of(body), session_of(request))
    return JsonResponse(decision_json(decision), headers=decision_headers(decision))


@routes.post("/v1/chat/completions")
async def chat_completions(request: Request, body: ChatRequest, _: SessionId = None) -> Response:
    """Route a conversation and answer it, whole or as server-sent events."""
    service: Service = request.app.state.service
    query, session = query_of(body), session_of(request)
    answer = await answer_of(service, body, query, request.state.caller, session)
    await answer.begin(query, session)
    if body.stream:
        return await streamed(answer, body)
    show = body.routing.panel.show_members
    whole = await unless_client_leaves(request, answer.whole(body.upstream(), show=show))
    if whole is None:
        return Response(status_code=499)  # nobody reads it
    cost = whole["collegium"]["outcome"]["cost_usd"]
    return JsonResponse(whole, headers=decision_headers(answer.decision, answer.answered_by, cost))


def session_of(request: Request) -> str | None:
    """The conversation that the request belongs to, where it says so."""
    session = request.headers.get(SESSION)
    if session is not None and len(session) > LONGEST_SESSION:
        raise BadRequest(
            f"The header {SESSION} has more than {LONGEST_SESSION} characters", SESSION
        )
    return session


async def answer_of(
    service: Service, body: ChatRequest, query: Query, caller: str, session: str | None
) -> Answer | PanelAnswer:
    """The answer in the making: one expert's, or a panel's where one is asked for and pays."""
    arrived = time.monotonic()
    if (mode := mode_of(body)) is not None:
        decision, found = await planned(service, query, panel_wish(body, mode, service))
        terms = terms_of(body, caller, arrived, decision)
        if found.mode != "single":
            return PanelAnswer(service, decision, found, query, terms)
        alone = next(e for e in await service.experts() if e.name == decision.expert)
        return Answer(service, decision, [alone], terms)
    decision, candidates = await decide(service, query, session)
    if not (decision.policy != "named" if body.routing.failover is None else body.routing.failover):
        candidates = candidates[:1]
    return Answer(service, decision, candidates, terms_of(body, caller, arrived, decision))


def panel_wish(body: ChatRequest, mode: Aggregate, service: Service) -> Wish:
    """What a request wants of a panel, with what this service has measured of panels."""
    return wish_of(body, mode, service.router.similarity, service.profiles)


def query_of(body: ChatRequest) -> Query:
    """What the router needs to know of a request."""
    messages = [m.model_dump() for m in body.messages]
    text = query_text(messages).strip()
    if not text:
        raise BadRequest("The messages hold no text to answer", "messages")
    max_tokens = body.max_completion_tokens or body.max_tokens
    prompt_tokens = sum(prompt_tokens_of(text_of(message)) for message in messages)
    return Query(text, body.model, body.routing.limits(), max_tokens, prompt_tokens)


def terms_of(body: ChatRequest, caller: str, arrived: float, decision: Decision) -> Terms:
    """How the request waits for its turn."""
    limit_ms = body.routing.max_latency_ms
    return Terms(
        caller=caller,
        priority=body.routing.priority,
        deadline=None if limit_ms is None else arrived + limit_ms / 1000,
        expected_s=decision.forecast.answer_ms / 1000,
        hedge=body.routing.hedge,
    )


async def streamed(answer: Answer | PanelAnswer, body: ChatRequest) -> StreamingResponse:
    """Start to stream. An expert that fails before its first chunk is still an HTTP error."""
    show = body.routing.panel.show_members
    chunks = answer.chunks(body.upstream(), usage=body.wants_usage(), show=show)
    first = await anext(chunks, None)
    headers = decision_headers(answer.decision, answer.answered_by) | {"Cache-Control": "no-cache"}
    events = server_sent_events(first, chunks)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def server_sent_events(
    first: Json | None, chunks: AsyncGenerator[Json]
) -> AsyncGenerator[bytes]:
    """Chunks as events; a failure in the middle is one error event."""
    async with aclosing(chunks):
        try:
            if first is not None:
                yield event(first)
            async for chunk in chunks:
                yield event(chunk)
        except CollegiumError as exc:
            yield event(error_body(exc))
            return
    yield b"data: [DONE]\n\n"


def event(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: %b\n\n" % to_bytes(data)


async def unless_client_leaves(request: Request, work: Coroutine[Any, Any, Json]) -> Json | None:
    """Run to the end, or cancel and return None when the client hangs up first."""
    here = asyncio.current_task()
    assert here is not None
    watch = _Watch(request, here)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.left and here.uncancel() == 0:
            return None
        raise
    finally:
        watch.end()


class _Watch:
    """Cancels a task when the request's client hangs up."""

    def __init__(self, request: Request, task: asyncio.Task[Any]) -> None:
        self.left = False
        self._request, self._task = request, task
        self._watching: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def end(self) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _begin(self) -> None:
        self._watching = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self._task.cancel()
