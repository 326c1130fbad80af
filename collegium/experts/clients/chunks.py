"""Read a streamed answer: how streams begin, fail and end is known only here.

`line` takes server-sent lines and `chunk` a chunk that somebody else has read. What is no chunk of
an answer is an ExpertError that says what came; before the answer has begun another may answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from collegium.errors import CollegiumError, ExpertError, ExpertUnavailable
from collegium.experts.clients.connection import parsed_json
from collegium.experts.clients.endpoints import as_chat
from collegium.experts.clients.events import AnswerEvent, Began, Finish, Json, OfChoice
from collegium.experts.clients.native import Native
from collegium.experts.clients.openai_shape import (
    Unshaped,
    answer_events,
    began,
    chunk_events,
    head_of,
)
from collegium.experts.clients.refusals import refused
from collegium.experts.clients.reply import NOTHING
from collegium.experts.clients.tool_calls import ToolCalls
from collegium.experts.clients.upstream_errors import details_of, is_error, unquoted

BOM = b"\xef\xbb\xbf"
FIELDS = (b"event:", b"id:", b"retry:", b":")
CUT = "the connection closed in the middle of the answer"
NOTHING_ASKED: Mapping[str, Any] = MappingProxyType({})


class Chunks:
    """One answer's chunks; yields events until it is `over`."""

    def __init__(
        self,
        expert: str,
        kind: str = "",
        native: Native | None = None,
        asked: Mapping[str, Any] = NOTHING_ASKED,
    ) -> None:
        """`native` is what was sent in the place of a chat, `asked` the body that was sent."""
        self.over = False
        """Whether the stream has signalled its end."""
        self.begun = False
        self._expert = expert
        self._kind = kind
        self._native = native
        self._asked = asked
        self._name = b""
        self._parts: list[bytes] = []
        self._strange: list[bytes] = []
        self._head: Json = {}
        self._held: list[AnswerEvent] = []
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._tools = ToolCalls()

    def line(self, line: bytes) -> list[AnswerEvent]:
        """The events of one line of the stream."""
        if not line and not self._parts:  # every other one
            self._name = b""
            return []
        if not self.begun:
            line = line.removeprefix(BOM)
        if line.startswith(b"data:"):
            return self._data(line[5:].removeprefix(b" "))
        if not line.strip():
            events = self._flushed()
            self._name = b""
            return events
        if line.startswith(b"event:"):
            self._name = line[6:].strip()
        elif line.startswith(b"error:"):  # llama.cpp's server, for one
            self._name = b"error"
            return self._data(line[6:])
        elif not (self.begun or line.startswith(FIELDS)):
            self._strange.append(line)
        return []

    def saw(self, choice: int) -> None:
        """Take note of a choice whose piece was read elsewhere."""
        self._open.add(choice)

    def chunk(self, chunk: Json, data: bytes = b"") -> list[AnswerEvent]:
        """The events of one chunk, `Began` before the first of them that are of an answer."""
        if chunk.get("type") == "ping" or self._name == b"ping":
            return []
        if is_error(chunk) or self._name == b"error":
            raise in_band(self._expert, chunk, data, self._asked)
        events = [self._tools.mended(event) for event in _read(self._expert, chunk_events, chunk)]
        for event in events:
            if isinstance(event, Finish):
                self._finished.add(event.choice)
            elif isinstance(event, OfChoice):
                self._open.add(event.choice)
        return events if self.begun else self._beginning(chunk, events)

    def end(self) -> list[AnswerEvent]:
        """Return the remaining events at the end of input; raise ExpertError if the answer is
        incomplete.
        """
        events = self._flushed()
        if self.over and self.begun:
            return events
        if not self.begun and not self.over and self._strange:
            return self._not_streamed()
        if not self.begun:
            raise ExpertError(self._expert, NOTHING)
        if not self._finished or self._open - self._finished:
            raise ExpertUnavailable(self._expert, CUT)
        return events

    def _data(self, data: bytes) -> list[AnswerEvent]:
        text = data.strip()
        if self._parts:
            self._parts.append(data)
            return []
        if not text:  # an event without data is none, says the standard
            return []
        if text == b"[DONE]":
            self.over = True
            return []
        try:
            chunk = parsed_json(text)
        except ValueError:
            self._parts.append(data)  # it may go on in the next line
            return []
        return self._object(chunk, text)

    def _flushed(self) -> list[AnswerEvent]:
        """The event whose data came in several lines."""
        if not self._parts:
            return []
        text, self._parts = b"\n".join(self._parts), []
        return self._object(parsed_by(self._expert, text), text)

    def _object(self, chunk: Any, data: bytes) -> list[AnswerEvent]:
        if not isinstance(chunk, dict):
            if self._name == b"error":
                raise in_band(self._expert, chunk, data, self._asked)
            raise ExpertError(self._expert, "returned no JSON object", detail=shown(data))
        return self.chunk(as_chat(self._native, chunk), data)

    def _beginning(self, chunk: Json, events: list[AnswerEvent]) -> list[AnswerEvent]:
        """Hold back chunks before the first choice, such as Azure's prompt annotations."""
        if not chunk.get("choices"):
            self._head |= head_of(chunk)
            self._held += events
            return []
        self.begun = True
        first = began(self._expert, chunk)
        head = {**self._head, **{k: v for k, v in first.head.items() if v is not None}}
        return [Began(self._expert, head, model=first.model), *self._held, *events]

    def rest(self, lines: Iterable[bytes]) -> list[AnswerEvent]:
        """The events of lines that nobody waits for: the last may be torn, and all may be wrong."""
        found: list[AnswerEvent] = []
        with suppress(CollegiumError):
            for line in lines:
                if self.over:
                    break
                found += self.line(line)
        return found

    def _not_streamed(self) -> list[AnswerEvent]:
        """Read a whole answer that came although a stream was requested."""
        data = b"\n".join(self._strange)
        if data.lstrip()[:1] in (b"{", b"["):
            return whole_events(self._expert, data, self._native, self._asked)
        raise strange(self._expert, data, self._kind)


def whole_events(
    expert: str,
    data: bytes,
    native: Native | None = None,
    asked: Mapping[str, Any] = NOTHING_ASKED,
) -> list[AnswerEvent]:
    """The events of a whole answer's body."""
    answer = parsed_by(expert, data)
    if not isinstance(answer, dict) or is_error(answer):
        if isinstance(answer, dict) or (isinstance(answer, list) and answer):
            raise in_band(expert, answer, data, asked)
        raise ExpertError(expert, "returned no JSON object", detail=shown(data))
    answer = as_chat(native, answer)
    if not answer.get("choices"):
        raise ExpertError(expert, "returned no choices", detail=shown(data))
    return _read(expert, partial(answer_events, expert), answer)


def listed_events(
    expert: str,
    data: bytes,
    native: Native | None = None,
    asked: Mapping[str, Any] = NOTHING_ASKED,
) -> list[AnswerEvent]:
    """Return the events of a stream that came as a whole although none was requested."""
    chunks, events = Chunks(expert, native=native, asked=asked), []
    for line in data.splitlines():
        events += chunks.line(line)
        if chunks.over:
            break
    return events + chunks.end()


def is_stream(data: bytes) -> bool:
    """Whether a body is a stream of events and no JSON."""
    return data.lstrip(BOM + b"\r\n").startswith((b"data:", *FIELDS))


def in_band(
    expert: str, error: Any, data: bytes, asked: Mapping[str, Any] = NOTHING_ASKED
) -> CollegiumError:
    """Return the error that an upstream sent instead of an answer to what was `asked`."""
    said = unquoted(details_of(0, error, shown(data)), asked)
    if said.status < 400:
        said = replace(said, status=0)
    return refused(expert, said)


def parsed_by(expert: str, data: bytes) -> Any:
    """Parse an upstream's JSON; raise ExpertError if it is invalid."""
    try:
        return parsed_json(data)
    except ValueError as exc:
        if data.lstrip()[:1] == b"<":
            raise strange(expert, data) from exc
        detail = f"{exc}: {shown(data)}"
        raise ExpertError(expert, "returned invalid JSON", detail=detail) from exc


def strange(expert: str, data: bytes, kind: str = "") -> ExpertError:
    """Return the error for a response that is not an answer."""
    page = data.lstrip()[:1] == b"<" or "html" in kind
    what = "a web page" if page else "something else"
    return ExpertError(expert, f"answered with {what} in the place of JSON", detail=shown(data))


def shown(data: bytes) -> str:
    """Return the beginning of a response, for the operator."""
    return repr(data.decode(errors="replace")[:120])


def _read(
    expert: str, read: Callable[[Json], list[AnswerEvent]], answer: Mapping[str, Any]
) -> list[AnswerEvent]:
    try:
        return read(dict(answer))
    except Unshaped as exc:
        raise ExpertError(
            expert, "returned something other than a chat completion", detail=str(exc)
        ) from exc
