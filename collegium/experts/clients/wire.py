"""Forward requests in their caller's own protocol: the part common to such protocols."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, closing, suppress
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from collegium.errors import CollegiumError, ExpertError, ExpertUnavailable
from collegium.experts.clients.chunks import CUT, in_band, is_stream, parsed_by, shown
from collegium.experts.clients.connection import Connection, ExpertErrors, Response
from collegium.experts.clients.events import AnswerEvent, Began, Json
from collegium.experts.clients.native import Native
from collegium.experts.clients.openai_shape import Listed, Unshaped
from collegium.experts.clients.reply import Call, Reply

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
SIGNS_OF_LIFE = ("ping", "keepalive")
"""Types of events that say nothing but that the connection is open."""
Check = Callable[[Response, Mapping[str, Any]], Awaitable[None]]
"""Raises the error for an unsuccessful status."""


class Reader(Protocol):
    """Parses one answer in its protocol's format; raises Unshaped for any other."""

    over: bool
    """Whether the answer is complete."""

    def events(self, told: Json) -> list[AnswerEvent]:
        """The events of one event of a stream."""

    def whole(self, told: Json, *, streamed: bool) -> list[AnswerEvent]:
        """The events of a whole answer; `streamed` says that a stream was asked for."""


class Wire(ABC):
    """One protocol's endpoint of an expert, using the expert's connections."""

    protocol: ClassVar[str]
    """As in `Native.protocol`; also the path of the endpoint."""
    shape: ClassVar[str]
    """The name of the answers' format, for messages."""

    def __init__(
        self, name: str, model: str, http: Connection, check: Check, *, timeout_s: float
    ) -> None:
        """`timeout_s`: so long a stream may consist of signs of life alone."""
        self._name = name
        self._model = model
        self._http = http
        self._check = check
        self._timeout_s = timeout_s
        self._errors = ExpertErrors(name)
        self._headers: dict[str, str] = {}

    @abstractmethod
    def native_of(self, call: Call) -> Native | None:
        """The request to send instead of a chat; None if the expert is asked through a chat."""

    @abstractmethod
    def _reader(self, call: Call) -> Reader:
        """Reads the answer to a call."""

    @abstractmethod
    def _error_in(self, told: Json) -> Any:
        """Return the error that came instead of an answer or event; None if there is none."""

    @asynccontextmanager
    async def ask(self, call: Call, native: Native) -> AsyncGenerator[Reply]:
        """POST the request as it came; leaving early closes the connection."""
        body = {**native.body, "model": self._model, "stream": call.stream}
        reader = self._reader(call)
        with self._errors:
            headers = {**call.headers, **native.headers}
            response = await self._post(self.protocol, body, headers)
        with closing(response):
            with self._errors:
                await self._check(response, body)
                streams = call.stream and response.kind != "application/json"
                whole = None if streams else await response.read()
            if whole is None:
                late: list[AnswerEvent] = []
                async with aclosing(self._events(response, reader, body, late)) as events:
                    yield Reply(events, late=late)
            else:
                yield Reply(Listed(self._whole(whole, reader, body, call)), streamed=False)

    async def _post(
        self, path: str, body: Json, headers: Mapping[str, str] = NO_HEADERS
    ) -> Response:
        return await self._http.post(path, body, {**self._headers, **headers})

    async def _events(
        self, response: Response, reader: Reader, body: Json, late: list[AnswerEvent]
    ) -> AsyncGenerator[AnswerEvent]:
        """The events of each server-sent one until the answer is over.

        Where it is left before that, `late` gets the events that had come by then.
        """
        begun, spoke = False, time.monotonic()
        unread: Iterator[bytes] = iter(())
        events: Iterator[AnswerEvent] = iter(())
        try:
            with self._errors:
                while lines := await response.lines():
                    said, unread = False, iter(lines)
                    for line in unread:
                        if not line.startswith(b"data:") or reader.over:
                            continue  # each event's data has its name
                        told = self._parsed(line[5:].strip(), body)
                        said = said or told.get("type") not in SIGNS_OF_LIFE
                        events = iter(self._read(reader.events, told))
                        for event in events:
                            if begun or isinstance(event, Began):
                                begun = True
                                yield event
                    if reader.over:
                        return
                    now = time.monotonic()
                    if said:
                        spoke = now
                    elif now - spoke > self._timeout_s:  # signs of life alone are no answer
                        raise TimeoutError
        except (GeneratorExit, asyncio.CancelledError):
            late += [*events, *self._rest([*unread, *response.arrived()], reader, body)]
            raise
        raise ExpertUnavailable(self._name, CUT)

    def _rest(self, lines: Iterable[bytes], reader: Reader, body: Json) -> list[AnswerEvent]:
        """The events of lines that nobody waits for: the last may be torn, and all may be wrong."""
        found: list[AnswerEvent] = []
        with suppress(CollegiumError):
            for line in lines:
                if line.startswith(b"data:") and not reader.over:
                    told = self._parsed(line[5:].strip(), body)
                    found += self._read(reader.events, told)
        return found

    def _whole(self, data: bytes, reader: Reader, body: Json, call: Call) -> list[AnswerEvent]:
        try:
            if is_stream(data):
                return self._listed(data, reader, body)
            read = partial(reader.whole, streamed=call.stream)
            return self._read(read, self._parsed(data, body))
        except ExpertError as exc:
            exc.worked = True
            raise

    def _listed(self, data: bytes, reader: Reader, body: Json) -> list[AnswerEvent]:
        """Return the events of a stream that came as a whole although none was requested."""
        events: list[AnswerEvent] = []
        for line in data.splitlines():
            if line.startswith(b"data:") and not reader.over:
                events += self._read(reader.events, self._parsed(line[5:].strip(), body))
        if not reader.over:
            raise ExpertUnavailable(self._name, CUT)
        return events

    def _parsed(self, data: bytes, body: Json) -> Json:
        told = parsed_by(self._name, data)
        if not isinstance(told, dict):
            raise ExpertError(self._name, "returned no JSON object", detail=shown(data))
        if (error := self._error_in(told)) is not None:
            raise in_band(self._name, error, data, body)
        return told

    def _read(self, read: Callable[[Json], list[AnswerEvent]], told: Json) -> list[AnswerEvent]:
        try:
            return read(told)
        except Unshaped as exc:
            raise ExpertError(
                self._name,
                f"returned something other than the {self.shape} format",
                detail=str(exc),
            ) from exc
