"""The built-in kinds of expert, each creating the client of a registered expert.

A kind is a function of an expert and its `Reach`, registered as an entry point `expert.NAME`. These
are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collegium.errors import ExpertUnavailable, ExtraMissing
from collegium.experts.clients.engine import EngineExpert, EngineLink
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.reply import ExpertClient
from collegium.experts.roster import adapter_folder
from collegium.extras import require
from collegium.registry.expert import Expert


@dataclass(frozen=True)
class Reach:
    """The dependencies of a client."""

    api_key: Callable[[Expert], str | None]
    """Return the key named by `api_key_env`; raise ExpertMisconfigured if it may not be read."""
    link: Callable[[Expert], EngineLink]
    """Return the connection to the expert's engine; raise ExpertUnavailable if there is none."""
    timeout_s: float
    """Time limit of a whole answer, seconds."""
    most_bytes: int
    """Size limit of a whole answer, bytes."""


MakeClient = Callable[[Expert, Reach], ExpertClient]
"""Makes the client of an expert. A preset's is its base's: name it by `expert.origin`."""


def openai(expert: Expert, reach: Reach) -> HttpExpert:
    """An OpenAI-compatible endpoint."""
    return HttpExpert(
        expert.origin,
        expert.base_url or "",
        expert.model,
        api_key=reach.api_key(expert),
        timeout_s=reach.timeout_s,
        most_bytes=reach.most_bytes,
    )


def litellm(expert: Expert, reach: Reach) -> ExpertClient:
    """A provider that LiteLLM reaches; LiteLLM is loaded with the first one."""
    _require_litellm(expert)
    from collegium.experts.clients.litellm import LiteLLMExpert

    return LiteLLMExpert(
        expert.origin,
        expert.model,
        base_url=expert.base_url,
        api_key=reach.api_key(expert),
        timeout_s=reach.timeout_s,
        most_bytes=reach.most_bytes,
    )


def engine(expert: Expert, reach: Reach) -> EngineExpert:
    """A whole model or an adapter on an engine of this service."""
    return EngineExpert(expert.origin, reach.link(expert), expert.model, adapter_folder(expert))


def _require_litellm(expert: Expert) -> None:
    try:
        require("litellm", "LiteLLM")
    except ExtraMissing as exc:
        words = "this installation has no LiteLLM"
        raise ExpertUnavailable(expert.name, words, retry_after_s=60, detail=exc.whole) from exc
