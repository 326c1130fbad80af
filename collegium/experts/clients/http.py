"""Ask an expert over the OpenAI-compatible HTTP API that vLLM and most providers serve."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, closing
from functools import partial

from collegium.errors import ExpertError, ExpertRejected, ExpertUnavailable, PromptTooLong
from collegium.experts.clients.connection import (
    MOST_BYTES,
    Connection,
    ExpertErrors,
    Response,
    is_address,
    parsed_json,
)
from collegium.experts.clients.events import AnswerEvent, Json
from collegium.experts.clients.openai_shape import (
    Listed,
    ToolNumbers,
    Unshaped,
    answer_events,
    began,
    chunk_events,
    plain_text,
)
from collegium.experts.clients.reply import Call, Reply
from collegium.redaction import redacted

REFUSALS = (400, 404, 413, 422, 429)
"""The caller's own fault, or haste; any other status is the expert's or the service's."""
MENDABLE = (400, 413, 422)
TOO_LONG = ("context length", "context_length", "maximum model length")


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
            raise ExpertUnavailable(name, "its address is none of an API", detail=base_url)
        self._errors = ExpertErrors(name)
        self._http = Connection(
            base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            trust_env=trust_env,
            most_bytes=most_bytes,
        )

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """POST the call; leaving early closes the connection, so that the upstream stops."""
        with self._errors:
            response = await self._http.post("chat/completions", self._asked(call))
        with closing(response):
            with self._errors:
                await self._raise_for_status(response)
                whole = None if call.stream and not response.is_json else await response.read()
            if whole is None:
                async with aclosing(self._events(response)) as events:
                    yield Reply(events)
            else:
                yield Reply(Listed(self._whole(whole)), streamed=False)

    async def _events(self, response: Response) -> AsyncGenerator[AnswerEvent]:
        """The events of each server-sent chunk until `[DONE]`."""
        begun, numbers = False, ToolNumbers()
        with self._errors:
            while lines := await response.lines():
                for line in lines:
                    if not line.startswith(b"data:"):
                        continue
                    text = line[5:].strip()
                    if not text:  # an event without data is none, says the standard
                        continue
                    if text == b"[DONE]":
                        return
                    if begun and (plain := plain_text(text)) is not None:
                        yield plain
                        continue
                    chunk = self._parsed(text)
                    read = self._read(chunk_events, chunk, text)
                    if not begun:  # what can't be read is no beginning: another may answer
                        begun = True
                        yield began(self.name, chunk)
                    for event in read:
                        yield numbers.numbered(event)
        raise ExpertUnavailable(self.name, "the connection closed in the middle of the answer")

    async def models(self) -> tuple[str, ...]:
        """The names of the models that the address serves."""
        with self._errors, closing(await self._http.get("models")) as response:
            await self._raise_for_status(response)
            data = await response.read()
        rows = self._parsed(data).get("data")
        if not isinstance(rows, list):
            raise ExpertError(self.name, "answered with no list", detail=_shown(data))
        return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id"))

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._http.aclose()

    def _asked(self, call: Call) -> Json:
        asked = {**call.body, "model": self.model}
        if call.stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        return asked

    def _parsed(self, data: bytes) -> Json:
        try:
            answer = parsed_json(data)
        except ValueError as exc:
            raise ExpertError(self.name, "answered with no JSON", detail=_shown(data)) from exc
        if not isinstance(answer, dict):
            raise ExpertError(self.name, "answered with no JSON object", detail=_shown(data))
        if answer.get("error"):
            told = _message(answer, _text(data))
            raise ExpertError(self.name, "answered with an error", detail=told)
        return answer

    def _read(
        self, read: Callable[[Json], list[AnswerEvent]], answer: Json, data: bytes
    ) -> list[AnswerEvent]:
        try:
            return read(answer)
        except Unshaped as exc:
            told = _shown(data)
            raise ExpertError(self.name, "answered in no chat's shape", detail=told) from exc

    def _whole(self, data: bytes) -> list[AnswerEvent]:
        answer = self._parsed(data)
        if not answer.get("choices"):
            raise ExpertError(self.name, "answered without choices", detail=_shown(data))
        return self._read(partial(answer_events, self.name), answer, data)

    async def _raise_for_status(self, response: Response) -> None:
        if response.is_success:
            return
        status = response.status
        message = _message_of(await response.read(), response.reason)
        if status in (502, 503, 504):
            raise ExpertUnavailable(self.name, f"answered {status}", detail=message)
        if any(words in message for words in TOO_LONG):
            told = redacted(message)
            raise PromptTooLong(f"The prompt is too long for '{self.name}': {told}", "messages")
        if status in REFUSALS:
            raise refusal(self.name, message, status)
        raise ExpertError(self.name, f"answered {status}", detail=message)


def refusal(expert: str, message: str, status: int) -> ExpertRejected:
    """An upstream's refusal. Its words are told where they say what the caller can mend."""
    told = redacted(message) if status in MENDABLE else f"refused the request ({status})"
    return ExpertRejected(expert, told, status, detail="" if told == message else message)


def _message_of(data: bytes, reason: str) -> str:
    text = _text(data)
    try:
        return _message(parsed_json(data), text)
    except ValueError:
        return text[:300] or reason


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _shown(data: bytes) -> str:
    return repr(_text(data)[:120])


def _message(answer: object, otherwise: str) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict) and error.get("message"):
        return str(error["message"])
    return str(error) if error else otherwise[:300]
