"""Talk to one hosted model through LiteLLM, which knows a hundred providers' APIs."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from collegium.errors import (
    ExpertError,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
    PromptTooLong,
)
from collegium.experts.clients.events import AnswerEvent, Json
from collegium.experts.clients.http import REFUSALS, refusal
from collegium.experts.clients.openai_shape import (
    Listed,
    Unshaped,
    answer_events,
    began,
    chunk_events,
)
from collegium.experts.clients.reply import Call, Reply
from collegium.redaction import redacted

CHAT_PARAMETERS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "messages", "modalities", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "reasoning_effort", "response_format", "seed",
    "service_tier", "stop", "stream", "stream_options", "temperature", "tool_choice", "tools",
    "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
"""What callers may ask of a model. LiteLLM takes much more by the same way, `base_url` among it,
which would send our API key wherever the caller likes."""


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
    ) -> None:
        self.name = name
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
        asked = self._asked(call)
        litellm = await _litellm()
        with litellm_errors(self.name, litellm):
            answer = await litellm.acompletion(**asked)
        if not call.stream:
            yield Reply(Listed(self._whole(answer.model_dump(exclude_none=True))), streamed=False)
            return
        async with aclosing(answer), aclosing(self._events(answer, litellm)) as events:
            yield Reply(events)

    async def _events(self, chunks: Any, litellm: Any) -> AsyncGenerator[AnswerEvent]:
        begun = False
        with litellm_errors(self.name, litellm):
            async for chunk in chunks:
                told = chunk.model_dump(exclude_none=True)
                if not begun:
                    begun = True
                    yield began(self.name, told)
                for event in self._read(chunk_events, told):
                    yield event

    async def aclose(self) -> None:
        """LiteLLM keeps its own connections."""

    def _whole(self, answer: Json) -> list[AnswerEvent]:
        if not answer.get("choices"):
            raise ExpertError(self.name, "answered without choices")
        return self._read(partial(answer_events, self.name), answer)

    def _read(self, read: Callable[[Json], list[AnswerEvent]], told: Json) -> list[AnswerEvent]:
        try:
            return read(told)
        except Unshaped as exc:
            raise ExpertError(self.name, "answered in no chat's shape") from exc

    def _asked(self, call: Call) -> Json:
        unknown = sorted(call.body.keys() - CHAT_PARAMETERS)
        if unknown:
            raise ExpertRejected(self.name, f"takes no parameter {', '.join(unknown)}")
        asked = {**call.body, **self._fixed}
        if call.stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        return asked


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
def litellm_errors(expert: str, litellm: Any) -> Iterator[None]:
    """Translate LiteLLM's errors, which are all OpenAI's, into ours."""
    from openai import OpenAIError

    try:
        yield
    except litellm.exceptions.Timeout as exc:
        raise ExpertTimeout(expert, "no answer in time") from exc
    except litellm.exceptions.ContextWindowExceededError as exc:
        message = f"The prompt is too long for '{expert}': {redacted(_first_line(exc))}"
        raise PromptTooLong(message, "messages") from exc
    except litellm.exceptions.AuthenticationError as exc:
        raise ExpertError(expert, "the provider refused the API key") from exc
    except (
        litellm.exceptions.APIConnectionError,
        litellm.exceptions.ServiceUnavailableError,
        litellm.exceptions.InternalServerError,
    ) as exc:
        raise ExpertUnavailable(expert, "can't be reached", detail=_first_line(exc)) from exc
    except OpenAIError as exc:
        status = getattr(exc, "status_code", None)
        if status in REFUSALS:
            raise refusal(expert, _first_line(exc), status) from exc
        raise ExpertError(expert, "answered with an error", detail=_first_line(exc)) from exc


def _first_line(exc: BaseException) -> str:
    return str(exc).splitlines()[0][:300] if str(exc) else type(exc).__name__
