"""Guards clients from plugins: any failure is confined to the expert."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from collegium.errors import CollegiumError, ExpertError, ExpertTimeout, ExpertUnavailable
from collegium.experts.clients.connection import as_json
from collegium.experts.clients.events import AnswerEvent
from collegium.experts.clients.kinds import MakeClient, Reach
from collegium.experts.clients.reply import Call, ExpertClient, Reply
from collegium.extensions import FOREIGN
from collegium.registry.expert import Expert

log = logging.getLogger(__name__)


class Guarded:
    """Passes calls on; foreign exceptions become `ExpertError`, so that another expert may answer.

    An answer that is too large ends, and so does one of which nothing comes for `reach.timeout_s`.
    """

    def __init__(self, name: str, client: ExpertClient, reach: Reach) -> None:
        self._name = name
        self._client = client
        self._reach = reach

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """The client's reply."""
        async with AsyncExitStack() as stack:
            with self._translated():
                async with self._in_time():
                    reply = await stack.enter_async_context(self._client.ask(call))
                events = self._events(reply)
                told = Reply(events, streamed=reply.streamed, dropped=reply.dropped)
            yield told

    async def aclose(self) -> None:
        """Close the client; exceptions are logged so that the other clients are closed, too."""
        try:
            await self._client.aclose()
        except FOREIGN as exc:
            log.warning("the client of %s could not be closed: %r", self._name, exc)

    async def _events(self, reply: Reply) -> AsyncGenerator[AnswerEvent]:
        size = 0
        while True:
            with self._translated():
                async with self._in_time():
                    event = await anext(reply.events, None)
            if event is None:
                return
            with self._translated():
                size += _size_of(event)
            if size > self._reach.most_bytes:
                raise ExpertError(self._name, "the answer is too large")
            yield event
            await asyncio.sleep(0)  # it may never wait for anything, and others have to go on

    @asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(self._reach.timeout_s) as limit:
                yield
        except TimeoutError as exc:
            if limit.expired():
                raise ExpertTimeout(self._name, "no answer in time") from exc
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except CollegiumError:
            raise
        except FOREIGN as exc:
            detail = f"{type(exc).__name__}: {exc}"
            raise ExpertError(self._name, "its client failed", detail=detail) from exc


def _size_of(event: object) -> int:
    """Return the size of an event as JSON; raise TypeError if it isn't an event."""
    if not isinstance(event, AnswerEvent):
        raise TypeError(f"{type(event).__name__} is not a reply event")
    return len(as_json(event))


def guarded(make: MakeClient, expert: Expert, reach: Reach) -> Guarded:
    """Create the client; raise ExpertUnavailable if that fails."""
    try:
        return Guarded(expert.origin, make(expert, reach), reach)
    except CollegiumError:
        raise
    except FOREIGN as exc:
        words = f"its kind '{expert.kind}' made no client"
        detail = f"{type(exc).__name__}: {exc}"
        raise ExpertUnavailable(expert.name, words, detail=detail) from exc
