"""Answer a parsed request of any protocol, as a whole or as server-sent events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Annotated, TypeVar

from fastapi import Header, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from collegium.errors import BadRequest, CollegiumError, ShuttingDown
from collegium.experts.clients.events import Began
from collegium.experts.dispatch.terms import Terms
from collegium.web.errors import unexpected
from collegium.web.lean_route import LARGE, JsonResponse
from collegium.web.parts_of import parts_of
from collegium.web.protocols.chat_request import (
    LONGEST_APPLICATION,
    ChatRequest,
    application_name,
)
from collegium.web.protocols.protocol import (
    Encoder,
    Events,
    Keep,
    Parsed,
    kept,
    whole_answer,
)
from collegium.web.protocols.sessions import LONGEST_SESSION, session_of
from collegium.web.request_id import trace_of
from collegium.web.serving.decide import Decided
from collegium.web.serving.draining import Draining
from collegium.web.serving.prepare import Prepared, prepare
from collegium.web.serving.shapes import cache_headers, changed_headers, decision_headers

log = logging.getLogger(__name__)
Result = TypeVar("Result")
SESSION = "x-session-id"
APPLICATION = "x-collegium-application"
ApplicationName = Annotated[str | None, Header(alias=APPLICATION, max_length=LONGEST_APPLICATION)]
SessionId = Annotated[str | None, Header(alias=SESSION, max_length=LONGEST_SESSION)]
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
WATCH_AFTER_S = 0.05
"""Whether a client has left is asked of answers that take longer: to ask takes a task more."""


async def answer(
    request: Request, parsed: Parsed, *, session: str | None = None, keep: Keep | None = None
) -> Response:
    """Decide, ask, and answer as the protocol and `stream` require.

    `session` is the conversation that the protocol knows of, where no header names one.
    """
    pipeline = parts_of(request).pipeline
    with in_callers_words(parsed.chat):
        decided = await pipeline.begin(await prepared(request, parsed.chat, session))
        return await _answered(request, parsed, decided, keep)


@contextmanager
def in_callers_words(chat: ChatRequest) -> Iterator[None]:
    """Name the field that is to blame as the caller's protocol calls it."""
    try:
        yield
    except BadRequest as exc:
        exc.param = chat.spelling().get(exc.param or "", exc.param)
        raise


async def _answered(
    request: Request, parsed: Parsed, decided: Decided, keep: Keep | None
) -> Response:
    pipeline = parts_of(request).pipeline
    events = pipeline.run(decided)
    if keep is not None:
        events = kept(events, parsed.whole(decided), keep)
    if parsed.chat.stream:
        return await streamed(request, parsed.encoder(decided), events, _told(decided))
    work = whole_answer(parsed.whole(decided), events)
    found = await unless_client_leaves(request, work)
    if found is None:
        return Response(status_code=499)  # nobody reads it
    body, outcome = found
    name = outcome.shown.get("expert") or decided.decision.expert
    headers = decision_headers(decided.decision, name, outcome.shown)
    return JsonResponse(body, headers=headers | _told(decided))


def _told(decided: Decided) -> dict[str, str]:
    """What the caller is told of its limits, and of the response cache."""
    limits = {} if decided.hold is None else decided.hold.headers()
    return limits if decided.lookup is None else limits | cache_headers(decided.lookup)


async def prepared(request: Request, body: ChatRequest, session: str | None = None) -> Prepared:
    """The request with who sent it, how it waits, and the conversation that it belongs to.

    A large one is read in a thread, because 30 MB take half a second.
    """
    limit_ms = body.routing.max_latency_ms
    terms = Terms(
        caller=request.state.caller.name,
        priority=body.routing.priority,
        deadline=None if limit_ms is None else time.monotonic() + limit_ms / 1000,
        hedge=body.routing.hedge,
    )
    named = request.headers.get(APPLICATION)
    read = partial(
        prepare,
        body,
        terms,
        session_of(request.headers, body.model_extra or {}, session),
        application=None if named is None else application_name(named, APPLICATION),
        caller=request.state.caller,
        remembered=True,
    )
    large = len(await request.body()) > LARGE
    found = await asyncio.to_thread(read) if large else read()
    trace, control = trace_of(request.headers), request.headers.get("cache-control")
    if trace or control is not None:
        return replace(found, headers=trace, cache_control=control)
    return found


async def streamed(
    request: Request, encoder: Encoder, events: Events, headers: Mapping[str, str] = NO_HEADERS
) -> Response:
    """Start to stream. An expert that fails before it begins is still an HTTP error."""
    event = await unless_client_leaves(request, anext(events))
    if event is None:
        return Response(status_code=499)
    first = getattr(event, "event", event)  # where several answer, an event has a number
    began = first if isinstance(first, Began) else None
    return EventStream(request, encoder, encoder.encode(event), events, began, headers)


class EventStream(StreamingResponse):
    """Sends an answer as it arrives. However sending ends, the calls to experts end with it."""

    def __init__(
        self,
        request: Request,
        encoder: Encoder,
        first: list[bytes],
        events: Events,
        began: Began | None = None,
        further: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        headers = decision_headers(encoder.decision, encoder.expert) | {"Cache-Control": "no-cache"}
        headers |= further
        if began is not None:
            headers |= changed_headers(began.adjusted, began.dropped)
        sent = server_sent_events(first, encoder, events, parts_of(request).draining)
        super().__init__(sent, media_type="text/event-stream", headers=headers)
        self._request, self._events = request, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer until the client leaves, which may be before the first event."""
        async with aclosing(self._events):
            with _UntilClientLeaves(self._request):
                await self.stream_response(send)


async def server_sent_events(
    first: list[bytes], encoder: Encoder, events: Events, draining: Draining
) -> AsyncGenerator[bytes]:
    """Chunks as server-sent events; a failure in the middle is one error event."""
    try:
        with draining.answering():
            for chunk in first:
                yield chunk
            async for event in events:
                for chunk in encoder.encode(event):
                    yield chunk
    except CollegiumError as exc:
        if isinstance(exc, ShuttingDown):  # the headers are sent already
            yield b"retry: %d\n" % (1000 * exc.retry_after_s)
        yield encoder.failed(exc)
    except Exception:  # the outermost handler of an answer whose status is sent already
        log.exception("a streamed answer failed")
        yield encoder.failed(unexpected())
    else:
        if last := encoder.ended():
            yield last


async def unless_client_leaves(request: Request, work: Awaitable[Result]) -> Result | None:
    """Run to the end; cancel and return None if the client disconnects first."""
    with _UntilClientLeaves(request), parts_of(request).draining.answering():
        return await work
    return None


class _UntilClientLeaves:
    """Ends the block, by cancelling it, when the request's client disconnects."""

    def __init__(self, request: Request) -> None:
        self._request, self._left = request, False
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        return cancelled and self._left and self._task.uncancel() == 0

    def _begin(self) -> None:
        self._watching = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._task.cancel()
