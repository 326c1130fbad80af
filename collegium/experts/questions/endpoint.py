"""A client of an OpenAI-compatible service: ask an expert, or read the router's decisions."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any

import httpx

from collegium.errors import ExpertError, ExpertRejected, ExpertTimeout, ExpertUnavailable

ROUTER = "auto"


@dataclass(frozen=True, slots=True)
class Answer:
    """An expert's answer and its usage."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    logprob: float | None = None
    """Mean log-probability of its tokens, if requested."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A live router's decision about one prompt."""

    expert: str
    policy: str
    overhead_ms: float
    quality: Mapping[str, float | None]
    """The forecast of each expert; None if nothing similar to the prompt was measured."""


class Endpoint:
    """One service with one connection pool; answers are greedy and of bounded length."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        max_tokens: int = 128,
        timeout_s: float = 120.0,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._max_tokens = max_tokens
        # `trust_env=False`: a measurement must not pass through somebody's proxy.
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            headers=headers,
            timeout=timeout_s,
            limits=limits,
            trust_env=False,
        )

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def ask(self, expert: str, prompt: str, **fields: Any) -> Answer:
        """Return an expert's answer: greedy, unless `fields` of the request say otherwise."""
        began = time.perf_counter()
        body = await self._post("/chat/completions", expert, prompt, fields)
        latency_s = time.perf_counter() - began
        with _well_formed(expert):
            _same_expert(expert, body)
            text = body["choices"][0]["message"]["content"] or ""
            usage = body["usage"]
            used = usage["prompt_tokens"], usage["completion_tokens"]
            return Answer(text, *used, latency_s, _mean_logprob(body["choices"][0]))

    async def complete(
        self, expert: str, request: Mapping[str, Any], application: str
    ) -> Mapping[str, Any]:
        """Return message and usage of an answer; fail if another expert answered."""
        tag = {"x-collegium-application": application}
        body = await self._send("/chat/completions", {**request, "model": expert}, tag)
        with _well_formed(expert):
            _same_expert(expert, body)
            return {"message": dict(body["choices"][0]["message"]), "usage": dict(body["usage"])}

    async def decide(self, prompt: str) -> Decided:
        """Return what the service's router decides about a prompt, without an answer."""
        body = await self._post("/route", ROUTER, prompt)
        with _well_formed(ROUTER):
            quality = {each["expert"]: each["quality"] for each in body["forecasts"]}
            return Decided(body["expert"], body["policy"], body["overhead_ms"], quality)

    async def _post(
        self, path: str, model: str, prompt: str, fields: Mapping[str, Any] = MappingProxyType({})
    ) -> Any:
        request = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self._max_tokens,
            **fields,
        }
        return await self._send(path, request)

    async def _send(
        self, path: str, request: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Any:
        with _translated(request["model"]):
            response = await self._http.post(path, json=request, headers=headers)
            response.raise_for_status()
        with _well_formed(request["model"]):
            return response.json()


@contextmanager
def _translated(expert: str) -> Iterator[None]:
    """Translate httpx's errors into ours."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise ExpertTimeout(expert, "no answer in time") from exc
    except httpx.HTTPStatusError as exc:
        status, text = exc.response.status_code, exc.response.text[:300]
        if status >= 500:
            raise ExpertUnavailable(expert, f"HTTP {status}: {text}") from exc
        raise ExpertRejected(expert, f"HTTP {status}: {text}", status) from exc
    except httpx.HTTPError as exc:
        raise ExpertUnavailable(expert, str(exc) or type(exc).__name__) from exc


@contextmanager
def _well_formed(expert: str) -> Iterator[None]:
    """Refuse an answer that is not in OpenAI's shape."""
    try:
        yield
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as exc:
        raise ExpertError(expert, f"the answer is not in OpenAI's format: {exc!r}") from exc


def _mean_logprob(choice: Mapping[str, Any]) -> float | None:
    told = (choice.get("logprobs") or {}).get("content") or ()
    return sum(token["logprob"] for token in told) / len(told) if told else None


def _same_expert(expert: str, body: Mapping[str, Any]) -> None:
    """Refuse another expert's answer: a failover must not count for the one that was asked."""
    if expert == ROUTER:
        return
    answered = (body.get("collegium") or {}).get("decision", {}).get("expert", expert)
    if answered != expert:
        raise ExpertError(expert, f"'{answered}' answered in its place")
