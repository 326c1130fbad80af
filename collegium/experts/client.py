"""Talk to one expert: the protocol, and the OpenAI-compatible HTTP API that vLLM serves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from collegium.errors import (
    ExpertError,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
    PromptTooLong,
)

Json = dict[str, Any]
CONNECT_TIMEOUT_S = 5.0
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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self.model = model
        if not is_address(base_url):
            raise ExpertUnavailable(name, f"'{base_url}' is no address of an API")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        with expert_errors(name):
            self._http = httpx.AsyncClient(
                base_url=base_url.rstrip("/") + "/",
                headers=headers,
                timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=timeout_s),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
                trust_env=trust_env,
                transport=transport,
            )

    async def complete(self, body: Mapping[str, Any]) -> Json:
        """POST and read the whole answer."""
        with expert_errors(self.name):
            response = await self._http.post("chat/completions", json=self._asked(body))
            self._raise_for_status(response)
            answer = self._chunk(response.text)
        if not answer.get("choices"):
            raise ExpertError(self.name, f"answered without choices: {response.text[:120]!r}")
        return answer

    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[Json]:
        """POST and yield each server-sent event's JSON until `[DONE]`."""
        asked = self._asked({**body, "stream": True})
        with expert_errors(self.name):
            async with self._http.stream("POST", "chat/completions", json=asked) as response:
                if not response.is_success:
                    await response.aread()
                    self._raise_for_status(response)
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    data = line.removeprefix("data:").strip()
                    if data == "[DONE]":
                        return
                    yield self._chunk(data)
        raise ExpertUnavailable(self.name, "the connection closed in the middle of the answer")

    async def models(self) -> tuple[str, ...]:
        """The names of the models that the address serves."""
        with expert_errors(self.name):
            response = await self._http.get("models")
            self._raise_for_status(response)
            rows = self._parsed(response.text).get("data")
        if not isinstance(rows, list):
            raise ExpertError(self.name, f"answered with no list: {response.text[:120]!r}")
        return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id"))

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._http.aclose()

    def _asked(self, body: Mapping[str, Any]) -> Json:
        return {**body, "model": self.model}

    def _parsed(self, text: str) -> Json:
        try:
            answer = json.loads(text)
        except ValueError as exc:
            raise ExpertError(self.name, f"answered with no JSON: {text[:120]!r}") from exc
        if not isinstance(answer, dict):
            raise ExpertError(self.name, f"answered with no JSON object: {text[:120]!r}")
        return answer

    def _chunk(self, data: str) -> Json:
        chunk = self._parsed(data)
        if chunk.get("error"):
            raise ExpertError(self.name, _message(chunk, data))
        choices = chunk.get("choices") or []
        if not isinstance(choices, list) or not all(isinstance(c, dict) for c in choices):
            raise ExpertError(self.name, f"answered in no chat's shape: {data[:120]!r}")
        return chunk

    def _raise_for_status(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        message = _message_of(response)
        if response.status_code in (502, 503, 504):
            raise ExpertUnavailable(self.name, f"answered {response.status_code}: {message}")
        if any(words in message for words in TOO_LONG):
            raise PromptTooLong(f"The prompt is too long for '{self.name}': {message}", "messages")
        if response.status_code in REFUSALS:
            raise ExpertRejected(self.name, message, response.status_code)
        raise ExpertError(self.name, f"answered {response.status_code}: {message}")


def is_address(url: str) -> bool:
    """Whether a URL could be that of an API."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _message_of(response: httpx.Response) -> str:
    try:
        return _message(response.json(), response.text)
    except ValueError:
        return response.text[:300] or response.reason_phrase


def _message(answer: object, otherwise: str) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict) and error.get("message"):
        return str(error["message"])
    return str(error) if error else otherwise[:300]


@contextmanager
def expert_errors(expert: str) -> Iterator[None]:
    """Translate httpx's errors into ours, at the one place that calls out."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise ExpertTimeout(expert, "no answer in time") from exc
    except httpx.ConnectError as exc:
        raise ExpertUnavailable(expert, f"can't connect: {exc}") from exc
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise ExpertUnavailable(expert, str(exc) or type(exc).__name__) from exc
