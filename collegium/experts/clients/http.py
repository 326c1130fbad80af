"""Experts behind the OpenAI-compatible HTTP API of vLLM and most providers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from collegium.errors import CapabilityMissing, CollegiumError, ExpertError, ExpertUnavailable
from collegium.experts.clients.adaptations import MOST_MENDED, Adaptations, Applied, lacking
from collegium.experts.clients.api_keys import KeyMasked
from collegium.experts.clients.chunks import (
    NOTHING_ASKED,
    Chunks,
    is_stream,
    listed_events,
    parsed_by,
    shown,
    whole_events,
)
from collegium.experts.clients.connection import (
    MOST_BYTES,
    Connection,
    ExpertErrors,
    Response,
    is_address,
)
from collegium.experts.clients.endpoints import CHAT, native_of
from collegium.experts.clients.events import AnswerEvent, Json
from collegium.experts.clients.native import Native
from collegium.experts.clients.openai_shape import Listed, plain_text
from collegium.experts.clients.refusals import refused, rule_of
from collegium.experts.clients.reply import Call, Reply
from collegium.experts.clients.upstream_errors import ErrorDetails, parse_error, unquoted

if TYPE_CHECKING:
    from collegium.experts.clients.messages import MessagesWire
    from collegium.experts.clients.responses import ResponsesWire

log = logging.getLogger(__name__)
WIRES = ("messages", "responses")
"""Protocols that experts may be asked by in the place of chat completions."""
JSON, HTML = "application/json", "text/html"


class HttpExpert:
    """An expert behind an OpenAI-compatible address (ending in `/v1`), with one connection pool."""

    def __init__(
        self,
        name: str,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        trust_env: bool = True,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.name = name
        self.model = model
        if not is_address(base_url):
            raise ExpertUnavailable(name, "its address is not the URL of an API", detail=base_url)
        self._errors = ExpertErrors(name)
        self._timeout_s = timeout_s
        self._adaptations = Adaptations()
        self._http = Connection(
            base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            trust_env=trust_env,
            most_bytes=most_bytes,
        )
        self._api_key = api_key
        self._masked = KeyMasked(api_key)

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """POST the call; leaving early closes the connection, so that the upstream stops."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._masked)
            if (spoken := await self._spoken(call, stack)) is not None:
                yield spoken
                return
            native = native_of(call.expert, call.native)
            response, applied = await self._answered(call, native)
            with closing(response):
                with self._errors:
                    whole = await response.read() if _is_whole(call, response) else None
                if whole is None:
                    late: list[AnswerEvent] = []
                    async with aclosing(self._events(response, native, applied, late)) as events:
                        yield Reply(events, dropped=applied.dropped, late=late)
                else:
                    listed = Listed(self._whole(whole, native, applied))
                    yield Reply(listed, streamed=False, dropped=applied.dropped)

    async def _spoken(self, call: Call, stack: AsyncExitStack) -> Reply | None:
        """Return the reply in the caller's own protocol; None if the expert has to be asked through
        a chat.

        That is also where its endpoint lacks something: a chat may be asked without it.
        """
        if call.native is None or call.native.protocol not in WIRES:
            return None
        wire = self._messages if call.native.protocol == "messages" else self._responses
        if (native := wire.native_of(call)) is None:
            return None
        try:
            return await stack.enter_async_context(wire.ask(call, native))
        except CapabilityMissing as exc:
            log.info("%s: it is asked in a chat", exc.bare)
            return None

    async def _answered(self, call: Call, native: Native | None) -> tuple[Response, Applied]:
        """The response that is a success; a request that is refused is put otherwise if it can."""
        path = CHAT if native is None else native.protocol
        for left in reversed(range(MOST_MENDED + 1)):
            applied = self._applied(call, native)
            with self._errors:
                body = {**applied.body, "model": self.model}
                response = await self._http.post(path, body, call.headers)
            if response.is_success:
                return response, applied
            with closing(response), self._errors:
                said = parse_error(response.status, await response.read(), response.reason)
            said = unquoted(said, applied.body)
            error = self._refused(said, response, applied)
            if not left or native is not None or not self._teaches(error, said, applied):
                raise error
        raise AssertionError("unreachable")

    def _applied(self, call: Call, native: Native | None) -> Applied:
        """Return the body to send, adapted to what this upstream accepts."""
        if native is not None:
            return Applied(_wanted(native.body, stream=call.stream), ())
        return self._adaptations.applied(call.expert, _wanted(call.body, stream=call.stream))

    def _refused(self, said: ErrorDetails, response: Response, applied: Applied) -> CollegiumError:
        rule = rule_of(said)
        body = {"messages": (), **applied.body}  # other endpoints have none
        found = lacking(said, body, rule.capability) if rule.kind == "capability" else {}
        return refused(self.name, said, response.headers, **found)

    def _teaches(self, error: CollegiumError, said: ErrorDetails, applied: Applied) -> bool:
        """Whether the refusal says how to ask again."""
        return isinstance(error, CapabilityMissing) and self._adaptations.learn(
            error, said, applied.body
        )

    async def _events(
        self,
        response: Response,
        native: Native | None,
        applied: Applied,
        late: list[AnswerEvent],
    ) -> AsyncGenerator[AnswerEvent]:
        """The events of each server-sent chunk until `[DONE]`, or until a complete answer's end.

        Where it is left before that, `late` gets the events that had come by then.
        """
        chunks = Chunks(self.name, response.kind, native, applied.body)
        spoke = time.monotonic()
        unread: Iterator[bytes] = iter(())
        told: Iterator[AnswerEvent] = iter(())
        try:
            with self._errors:
                while lines := await response.lines():
                    said, unread = False, iter(lines)
                    for line in unread:
                        if chunks.begun and line.startswith(b"data:"):
                            plain = plain_text(line[5:])
                            if plain is not None:
                                if plain.choice:
                                    chunks.saw(plain.choice)
                                said = True
                                yield plain
                                continue
                        told = iter(chunks.line(line))
                        for event in told:
                            said = True
                            yield event
                        if chunks.over:
                            break
                    if chunks.over:
                        break
                    now = time.monotonic()
                    if said:
                        spoke = now
                    elif now - spoke > self._timeout_s:  # signs of life alone are no answer
                        raise TimeoutError
                for event in chunks.end():
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            late += [*told, *chunks.rest([*unread, *response.arrived()])]
            raise

    def _whole(self, data: bytes, native: Native | None, applied: Applied) -> list[AnswerEvent]:
        read = listed_events if is_stream(data) else whole_events
        try:
            return read(self.name, data, native, applied.body)
        except ExpertError as exc:
            exc.worked = True
            raise

    async def posted(self, path: str, body: Mapping[str, Any]) -> tuple[int, Json]:
        """The status of a POST to another endpoint, and the JSON object that it answers with."""
        with self._masked, self._errors, closing(await self._http.post(path, body)) as response:
            data = await response.read()
            answer = parsed_by(self.name, data) if response.is_success else {}
            return response.status, answer if isinstance(answer, dict) else {}

    async def models(self) -> tuple[str, ...]:
        """The names of the models that the address serves."""
        return tuple(str(row["id"]) for row in await self.rows())

    async def rows(self) -> list[Json]:
        """Return what the address reports of each model that it serves."""
        with self._masked:
            with self._errors, closing(await self._http.get("models")) as response:
                await self._raise_for_status(response)
                data = await response.read()
            listed = parsed_by(self.name, data)
            rows = listed.get("data") if isinstance(listed, dict) else None
            if not isinstance(rows, list):
                raise ExpertError(self.name, "returned no list", detail=shown(data))
        return [row for row in rows if isinstance(row, dict) and row.get("id")]

    async def count_tokens(self, native: Native) -> int:
        """Count a prompt's tokens through its own protocol; raise ExpertError if that fails."""
        with self._masked:
            return await self._messages.count_tokens(native)

    @cached_property
    def _messages(self) -> MessagesWire:
        """The Messages API at the same address, once a caller speaks it."""
        from collegium.experts.clients.messages import MessagesWire

        return MessagesWire(
            self.name,
            self.model,
            self._http,
            self._raise_for_status,
            timeout_s=self._timeout_s,
            api_key=self._api_key,
        )

    @cached_property
    def _responses(self) -> ResponsesWire:
        """The Responses API at the same address, likewise."""
        from collegium.experts.clients.responses import ResponsesWire

        check = self._raise_for_status
        return ResponsesWire(self.name, self.model, self._http, check, timeout_s=self._timeout_s)

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._http.aclose()

    async def _raise_for_status(
        self, response: Response, asked: Mapping[str, Any] = NOTHING_ASKED
    ) -> None:
        if not response.is_success:
            said = parse_error(response.status, await response.read(), response.reason)
            raise refused(self.name, unquoted(said, asked), response.headers)


def _wanted(body: Mapping[str, Any], *, stream: bool) -> Mapping[str, Any]:
    """Return the body, and whether the answer is streamed."""
    if not stream:
        return body
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


def _is_whole(call: Call, response: Response) -> bool:
    """Whether the body is to be read at once: some upstreams ignore that a stream was wanted."""
    return not call.stream or response.kind in (JSON, HTML)
