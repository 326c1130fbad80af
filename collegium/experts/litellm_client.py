"""Talk to one hosted model through LiteLLM, which knows a hundred providers' APIs."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from collegium.errors import ExpertError, ExpertRejected, ExpertTimeout, ExpertUnavailable
from collegium.experts.client import Json


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
            "num_retries": 0,
        }

    async def complete(self, body: Mapping[str, Any]) -> Json:
        """Ask and return the whole answer in OpenAI's shape."""
        litellm = await _litellm()
        with litellm_errors(self.name, litellm):
            answer = await litellm.acompletion(**{**body, **self._fixed})
            return dict(answer.model_dump(exclude_none=True))

    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[Json]:
        """Ask and yield chunks in OpenAI's shape."""
        litellm = await _litellm()
        with litellm_errors(self.name, litellm):
            chunks = await litellm.acompletion(**{**body, **self._fixed, "stream": True})
            async for chunk in chunks:
                yield dict(chunk.model_dump(exclude_none=True))

    async def aclose(self) -> None:
        """LiteLLM keeps its own connections."""


async def _litellm() -> Any:
    # Else importing it fetches a price list from the internet, with retries.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # Importing takes seconds: off the event loop.
    litellm: Any = await asyncio.to_thread(importlib.import_module, "litellm")
    litellm.telemetry = False
    litellm.drop_params = False  # an option that the provider lacks is an error, not dropped
    return litellm


@contextmanager
def litellm_errors(expert: str, litellm: Any) -> Iterator[None]:
    """Translate LiteLLM's errors into ours."""
    try:
        yield
    except litellm.exceptions.Timeout as exc:
        raise ExpertTimeout(expert, "no answer in time") from exc
    except litellm.exceptions.AuthenticationError as exc:
        raise ExpertError(expert, "the provider refused the API key") from exc
    except (
        litellm.exceptions.APIConnectionError,
        litellm.exceptions.ServiceUnavailableError,
        litellm.exceptions.InternalServerError,
    ) as exc:
        raise ExpertUnavailable(expert, _first_line(exc)) from exc
    except litellm.exceptions.OpenAIError as exc:
        status = getattr(exc, "status_code", None)
        if isinstance(status, int) and 400 <= status < 500:
            raise ExpertRejected(expert, _first_line(exc), status) from exc
        raise ExpertError(expert, _first_line(exc)) from exc


def _first_line(exc: BaseException) -> str:
    return str(exc).splitlines()[0][:300] if str(exc) else type(exc).__name__
