"""POST /v1/chat/completions and POST /v1/route."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from collegium.errors import BadRequest, CollegiumError, ShuttingDown
from collegium.experts.clients.events import Json
from collegium.experts.dispatch.terms import Terms
from collegium.web.auth import tenant_of
from collegium.web.errors import error_body, unexpected
from collegium.web.lean_route import JsonResponse, LeanRoute, to_bytes
from collegium.web.parts_of import parts_of
from collegium.web.protocols.chat_answer import ChatEncoder, Events, WholeChat, whole_answer
from collegium.web.protocols.chat_request import (
    LONGEST_APPLICATION,
    ChatRequest,
    application_name,
)
from collegium.web.serving.draining import Draining
from collegium.web.serving.prepare import Prepared, prepare
from collegium.web.serving.shapes import decided_json, decision_headers

log = logging.getLogger(__name__)
routes = APIRouter(route_class=LeanRoute)
Result = TypeVar("Result")
SESSION, LONGEST_SESSION = "x-session-id", 128
APPLICATION = "x-collegium-application"
ApplicationName = Annotated[str | None, Header(alias=APPLICATION, max_length=LONGEST_APPLICATION)]
SessionId = Annotated[str | None, Header(alias=SESSION, max_length=LONGEST_SESSION)]
WATCH_AFTER_S = 0.05
"""Whether a client has left is asked of answers that take longer: to ask takes a task more."""


@routes.post("/v1/route")
async def route(
    request: Request, body: ChatRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Decide and answer nothing: every candidate's forecast, the choice and its reason."""
    decided = await parts_of(request).pipeline.decide(prepared(request, body))
    return JsonResponse(decided_json(decided), headers=decision_headers(decided.decision))


@routes.post("/v1/chat/completions")
async def chat_completions(
    request: Request, body: ChatRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Route a conversation and answer it, whole or as server-sent events."""
    pipeline = parts_of(request).pipeline
    decided = await pipeline.begin(prepared(request, body))
    if body.stream:
        return await streamed(request, ChatEncoder(decided, body), pipeline.run(decided))
    work = whole_answer(WholeChat(decided, body), pipeline.run(decided))
    answer = await unless_client_leaves(request, work)
    if answer is None:
        return Response(status_code=499)  # nobody reads it
    outcome = answer["collegium"]["outcome"]
    name = outcome.get("expert") or decided.decision.expert
    headers = decision_headers(decided.decision, name, outcome)
    return JsonResponse(answer, headers=headers)


def prepared(request: Request, body: ChatRequest) -> Prepared:
    """The request with who sent it, how it waits, and the conversation that it belongs to."""
    limit_ms = body.routing.max_latency_ms
    terms = Terms(
        caller=request.state.caller,
        priority=body.routing.priority,
        deadline=None if limit_ms is None else time.monotonic() + limit_ms / 1000,
        hedge=body.routing.hedge,
    )
    named = request.headers.get(APPLICATION)
    return prepare(
        body,
        terms,
        session_of(request),
        application=None if named is None else application_name(named, APPLICATION),
        tenant=tenant_of(request),
    )


def session_of(request: Request) -> str | None:
    """The conversation that the request belongs to, where it says so."""
    session = request.headers.get(SESSION)
    if session is not None and len(session) > LONGEST_SESSION:
        raise BadRequest(
            f"The header {SESSION} has more than {LONGEST_SESSION} characters", SESSION
        )
    return session


async def streamed(request: Request, encoder: ChatEncoder, events: Events) -> Response:
    """Start to stream. An expert that fails before it begins is still an HTTP error."""
    event = await unless_client_leaves(request, anext(events))
    if event is None:
        return Response(status_code=499)
    return EventStream(encoder, encoder.chunks(event), events, parts_of(request).draining)


class EventStream(StreamingResponse):
    """Sends an answer as it comes. However the sending ends, the asking ends with it."""

    def __init__(
        self, encoder: ChatEncoder, first: list[Json], events: Events, draining: Draining
    ) -> None:
        headers = decision_headers(encoder.decision, encoder.expert) | {"Cache-Control": "no-cache"}
        sent = server_sent_events(first, encoder, events, draining)
        super().__init__(sent, media_type="text/event-stream", headers=headers)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; a client may leave before the first event, when nobody listens to `sent`."""
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


async def server_sent_events(
    first: list[Json], encoder: ChatEncoder, events: Events, draining: Draining
) -> AsyncGenerator[bytes]:
    """Chunks as server-sent events; a failure in the middle is one error event."""
    try:
        with draining.answering():
            for chunk in first:
                yield sse(chunk)
            async for event in events:
                for chunk in encoder.chunks(event):
                    yield sse(chunk)
    except CollegiumError as exc:
        if isinstance(exc, ShuttingDown):  # the headers are sent already
            yield b"retry: %d\n" % (1000 * exc.retry_after_s)
        yield sse(error_body(exc))
    except Exception:  # the outermost handler of an answer whose status is sent already
        log.exception("a streamed answer failed")
        yield sse(error_body(unexpected()))
    else:
        yield b"data: [DONE]\n\n"


def sse(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: %b\n\n" % to_bytes(data)


async def unless_client_leaves(request: Request, work: Awaitable[Result]) -> Result | None:
    """Run to the end, or cancel and return None when the client hangs up first."""
    here = asyncio.current_task()
    assert here is not None
    watch = _Watch(request, here)
    try:
        with parts_of(request).draining.answering():
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
