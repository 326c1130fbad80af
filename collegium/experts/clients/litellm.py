"""Experts reached through LiteLLM, which supports about a hundred providers."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

from collegium.errors import (
    CapabilityMissing,
    CollegiumError,
    ExpertError,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
)
from collegium.experts.clients.adaptations import (
    MOST_MENDED,
    Adaptations,
    Applied,
    lacking,
    may_be_left_out,
)
from collegium.experts.clients.api_keys import KeyMasked
from collegium.experts.clients.chunks import Chunks, whole_events
from collegium.experts.clients.connection import MOST_BYTES, as_json
from collegium.experts.clients.endpoints import native_of
from collegium.experts.clients.events import AnswerEvent, Json
from collegium.experts.clients.native import Native
from collegium.experts.clients.openai_shape import Listed
from collegium.experts.clients.refusals import refused, rule_of
from collegium.experts.clients.reply import Call, Reply
from collegium.experts.clients.upstream_errors import (
    ErrorDetails,
    details_of,
    parse_error,
    unquoted,
)
from collegium.registry.capabilities import takes

CHAT_PARAMETERS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "messages", "modalities", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "reasoning_effort", "response_format", "seed",
    "service_tier", "stop", "stream", "stream_options", "temperature", "thinking", "tool_choice",
    "tools",
    "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
"""Parameters that callers may set. LiteLLM accepts many more, among them `base_url`, which would
send our API key to an address of the caller's choice.
"""

RICHER = ("messages", "tools", "thinking")
"""Fields that a request of Anthropic's own protocol says more in."""


STEERING = frozenset({
    "api_base", "api_key", "api_version", "base_url", "client", "custom_llm_provider",
    "deployment_id", "extra_body", "extra_headers", "extra_query", "fallbacks", "headers",
    "hooks", "mock_response", "model_list", "organization", "timeout",
})  # fmt: skip
"""Parameters that control LiteLLM itself: requests with them are refused."""


ASKED = {
    "embeddings": ("aembedding", ("input", "encoding_format", "dimensions", "user")),
    "rerank": (
        "arerank",
        ("query", "documents", "top_n", "return_documents", "max_chunks_per_doc", "rank_fields"),
    ),
}
"""LiteLLM's functions for endpoints other than chat, and the parameters that callers may set."""


class LiteLLMExpert:
    """An expert named as LiteLLM names it, such as `anthropic/claude-…` or `ollama/llama3`."""

    def __init__(
        self,
        name: str,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.name = name
        self._most_bytes = most_bytes
        self._adaptations = Adaptations()
        self._masked = KeyMasked(api_key)
        self._fixed = {
            "model": model,
            "api_base": base_url,
            "api_key": api_key,
            "timeout": timeout_s,
            "max_retries": 0,
            "num_retries": 0,
        }

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """Ask the provider; leaving early closes its connection, so that it stops."""
        with self._masked:
            async with self._asked(call) as reply:
                yield reply

    @asynccontextmanager
    async def _asked(self, call: Call) -> AsyncGenerator[Reply]:
        if (native := native_of(call.expert, call.native)) is not None and native.protocol in ASKED:
            yield Reply(Listed(await self._native(native, call)), streamed=False)
            return
        taken = self._taken(call)
        litellm = await _litellm()
        answer, dropped = await self._answered(call, taken, litellm)
        if not call.stream:
            data = as_json(answer.model_dump(exclude_none=True))
            self._require_size(len(data))
            listed = Listed(whole_events(self.name, data))
            yield Reply(listed, streamed=False, dropped=dropped)
            return
        async with aclosing(answer), aclosing(self._events(answer, litellm, taken)) as events:
            yield Reply(events, dropped=dropped)

    async def _native(self, native: Native, call: Call) -> list[AnswerEvent]:
        """Request embeddings or a ranking."""
        function, parameters = ASKED[native.protocol]
        asked = {name: value for name, value in native.body.items() if name in parameters}
        litellm = await _litellm()
        with litellm_errors(self.name, litellm, asked):
            answer = await getattr(litellm, function)(**asked, **self._fixed, **_beside(call))
        data = as_json(answer.model_dump(exclude_none=True))
        self._require_size(len(data))
        return whole_events(self.name, data, native)

    async def _answered(
        self, call: Call, taken: Applied, litellm: Any
    ) -> tuple[Any, tuple[str, ...]]:
        """The answer; a request that is refused is put otherwise if it can."""
        for left in reversed(range(MOST_MENDED + 1)):
            applied = self._adaptations.applied(call.expert, taken.body)
            asked = {**applied.body, **self._fixed, **_beside(call)}
            try:
                with litellm_errors(self.name, litellm, applied.body):
                    answer = await litellm.acompletion(**asked)
            except CapabilityMissing as exc:
                said = unquoted(_told(exc.__cause__ or exc), applied.body)
                if not left or not self._adaptations.learn(exc, said, applied.body):
                    raise
            else:
                return answer, tuple(sorted({*taken.dropped, *applied.dropped}))
        raise AssertionError("unreachable")

    async def _events(
        self, parts: Any, litellm: Any, taken: Applied
    ) -> AsyncGenerator[AnswerEvent]:
        chunks, size = Chunks(self.name, asked=taken.body), 0
        with litellm_errors(self.name, litellm):
            async for part in parts:
                told = part.model_dump(exclude_none=True)
                size += len(as_json(told))
                self._require_size(size)
                for event in chunks.chunk(told):
                    yield event
            chunks.over = True  # LiteLLM raises where a provider's stream breaks off
            for event in chunks.end():
                yield event

    async def aclose(self) -> None:
        """LiteLLM keeps its own connections."""

    def _require_size(self, size: int) -> None:
        if size > self._most_bytes:
            raise ExpertError(self.name, "the answer is too large")

    def _taken(self, call: Call) -> Applied:
        """Return the supported part of the request, or raise if the rest can't be left out."""
        asked = self._enriched(call)
        unknown = sorted(asked.keys() - CHAT_PARAMETERS)
        if steering := sorted(STEERING.intersection(unknown)):
            raise ExpertRejected(self.name, f"takes no parameter {', '.join(steering)}")
        for name in unknown:
            if not may_be_left_out(name, asked[name]):
                words = f"takes no parameter {name}, which the answer depends on"
                raise CapabilityMissing(self.name, words, capability="parameter", param=name)
        body = {k: v for k, v in asked.items() if k in CHAT_PARAMETERS}
        if call.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return Applied(body, tuple(unknown))

    def _enriched(self, call: Call) -> Mapping[str, Any]:
        """Return the body for Claude with the fields of its own protocol."""
        rich = None if call.native is None else call.native.rich
        if rich is None or "claude" not in str(self._fixed["model"]).lower():
            return call.body
        fields = rich()
        body = {**call.body, **{k: fields[k] for k in RICHER if k in fields}}
        if takes(call.expert, "reasoning") is False:
            body.pop("thinking", None)
        elif "thinking" in body:
            body.pop("reasoning_effort", None)
        return body


def _beside(call: Call) -> Json:
    return {"extra_headers": dict(call.headers)} if call.headers else {}


async def _litellm() -> Any:
    # Else importing it fetches a price list from the internet, with retries.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # Importing takes seconds: off the event loop.
    litellm: Any = await asyncio.to_thread(importlib.import_module, "litellm")
    litellm.telemetry = False
    litellm.suppress_debug_info = True  # else it prints advice with every error
    litellm.drop_params = False  # an option that the provider lacks is an error, not dropped
    return litellm


@contextmanager
def litellm_errors(
    expert: str, litellm: Any, body: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Translate LiteLLM's errors, all subclasses of OpenAI's, into ours."""
    from openai import OpenAIError

    try:
        yield
    except litellm.exceptions.Timeout as exc:
        raise ExpertTimeout(expert, "no answer in time") from exc
    except (
        litellm.exceptions.APIConnectionError,
        litellm.exceptions.InternalServerError,
    ) as exc:
        raise ExpertUnavailable(expert, "can't be reached", detail=_first_line(exc)) from exc
    except OpenAIError as exc:
        raise _refused(expert, exc, body or {"messages": []}) from exc


def _refused(expert: str, exc: Exception, body: Mapping[str, Any]) -> CollegiumError:
    said = unquoted(_told(exc), body)
    rule = rule_of(said)
    found = lacking(said, body, rule.capability) if rule.kind == "capability" else {}
    headers = getattr(getattr(exc, "response", None), "headers", None) or {}
    return refused(expert, said, headers, **found)


def _told(exc: BaseException) -> ErrorDetails:
    """The provider's own words, which LiteLLM quotes, with the name that LiteLLM gives them."""
    status, words = int(getattr(exc, "status_code", None) or 0), str(exc)
    start = words.find("{")
    quoted = parse_error(status, words[start:].encode()) if start >= 0 else details_of(status, None)
    code, kind = getattr(exc, "code", None), _CODES.get(type(exc).__name__, "")
    names = " ".join(str(name) for name in (quoted.code, code, kind) if name)
    said = quoted.message if start >= 0 and quoted.code else words
    message = said.splitlines()[0] if said else type(exc).__name__
    return ErrorDetails(status, message, names, str(getattr(exc, "param", None) or quoted.param))


_CODES = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy",
    "UnsupportedParamsError": "unsupported_parameter",
}
"""LiteLLM's own names for kinds."""


def _first_line(exc: BaseException) -> str:
    return str(exc).splitlines()[0][:300] if str(exc) else type(exc).__name__
