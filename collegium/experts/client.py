"""Talk to one expert: the protocol, and the OpenAI-compatible HTTP API that vLLM serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from collegium.errors import ExpertError, ExpertRejected, ExpertUnavailable, PromptTooLong
from collegium.experts.connection import Connection, expert_errors, is_address, parsed_json

Json = dict[str, Any]
REFUSALS = (400, 404, 413, 422, 429)
"""The caller's own fault, or haste; any other status is the expert's or the service's."""
TOO_LONG = ("context length", "context_length", "maximum model length")


class ExpertClient(Protocol):
    """Ask one expert. Bodies and answers have the shape of OpenAI's chat completions."""

    async def complete(self, body: Mapping[str, Any]) -> Json:
        """Return the whole answer."""

    def stream(self, body: Mapping[str, Any]) -> AsyncIterator[Json]:
        """Yield the answer's chunks; closing the iterator cancels the generation."""

    async def aclose(self) -> None:
        """Let go of connections."""


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
    ) -> None:
        self.name = name
        self.model = model
        if not is_address(base_url):
            raise ExpertUnavailable(name, f"'{base_url}' is no address of an API")
        self._http = Connection(base_url, api_key=api_key, timeout_s=timeout_s, trust_env=trust_env)

    async def complete(self, body: Mapping[str, Any]) -> Json:
        """POST and read the whole answer."""
        with expert_errors(self.name):
            async with self._http.post("chat/completions", self._asked(body)) as reply:
                data = await reply.read()
                self._raise_for_status(reply.status, reply.reason, data)
        answer = self._chunk(data)
        if not answer.get("choices"):
            raise ExpertError(self.name, f"answered without choices: {_shown(data)}")
        return answer

    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[Json]:
        """POST and yield each server-sent event's JSON until `[DONE]`."""
        asked = self._asked({**body, "stream": True})
        with expert_errors(self.name):
            async with self._http.post("chat/completions", asked) as reply:
                if not reply.is_success:
                    self._raise_for_status(reply.status, reply.reason, await reply.read())
                async for line in reply.lines():
                    if not line.startswith(b"data:"):
                        continue
                    data = line.removeprefix(b"data:").strip()
                    if data == b"[DONE]":
                        return
                    yield self._chunk(data)
        raise ExpertUnavailable(self.name, "the connection closed in the middle of the answer")

    async def models(self) -> tuple[str, ...]:
        """The names of the models that the address serves."""
        with expert_errors(self.name):
            async with self._http.get("models") as reply:
                data = await reply.read()
                self._raise_for_status(reply.status, reply.reason, data)
        rows = self._parsed(data).get("data")
        if not isinstance(rows, list):
            raise ExpertError(self.name, f"answered with no list: {_shown(data)}")
        return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id"))

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._http.aclose()

    def _asked(self, body: Mapping[str, Any]) -> Json:
        return {**body, "model": self.model}

    def _parsed(self, data: bytes) -> Json:
        try:
            answer = parsed_json(data)
        except ValueError as exc:
            raise ExpertError(self.name, f"answered with no JSON: {_shown(data)}") from exc
        if not isinstance(answer, dict):
            raise ExpertError(self.name, f"answered with no JSON object: {_shown(data)}")
        return answer

    def _chunk(self, data: bytes) -> Json:
        chunk = self._parsed(data)
        if chunk.get("error"):
            raise ExpertError(self.name, _message(chunk, _text(data)))
        choices = chunk.get("choices") or []
        if not isinstance(choices, list) or not all(isinstance(c, dict) for c in choices):
            raise ExpertError(self.name, f"answered in no chat's shape: {_shown(data)}")
        return chunk

    def _raise_for_status(self, status: int, reason: str, data: bytes) -> None:
        if 200 <= status < 300:
            return
        message = _message_of(data, reason)
        if status in (502, 503, 504):
            raise ExpertUnavailable(self.name, f"answered {status}: {message}")
        if any(words in message for words in TOO_LONG):
            raise PromptTooLong(f"The prompt is too long for '{self.name}': {message}", "messages")
        if status in REFUSALS:
            raise ExpertRejected(self.name, message, status)
        raise ExpertError(self.name, f"answered {status}: {message}")


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
