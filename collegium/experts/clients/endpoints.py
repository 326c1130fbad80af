"""Endpoints other than chat completions: who serves them, their requests and their responses.

A request in another endpoint's shape is sent there as it came, where the expert serves it. What
comes back is put into the shape of a chat completion, and read as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.registry.capabilities import takes
from collegium.registry.expert import Expert

Endpoint = Literal["completions", "embeddings", "rerank"]
ENDPOINTS = get_args(Endpoint)
RESULTS: Mapping[str, str] = {"embeddings": "data", "rerank": "results"}
"""The field of the response with the results, for endpoints that don't return text."""
CHAT = "chat/completions"
ENDPOINT = "endpoint"
"""In a reply's head: the endpoint of the answer, unless it is chat completions."""


def serves(expert: Expert, endpoint: str) -> bool:
    """Whether an expert is known to have an endpoint; a preset's prompts are for chats alone."""
    return expert.preset is None and takes(expert, endpoint) is True


def able(experts: Sequence[Expert], model: str, native: Native | None) -> Sequence[Expert]:
    """Return the experts that serve a request for a `model`; raise BadRequest if there is none."""
    if native is None or native.needed_for is None:
        return experts
    found = [expert for expert in experts if serves(expert, native.protocol)]
    named = any(expert.name == model for expert in experts)
    if found and (not named or any(expert.name == model for expert in found)):
        return found
    who = f"The expert '{model}' does not serve it" if named else "No expert serves it"
    others = ", ".join(expert.name for expert in found if expert.enabled)
    hint = f"; these do: {others}" if others else ""
    words = f"{native.needed_for} needs the endpoint /{native.protocol}. {who}{hint}"
    raise BadRequest(words, "model")


def native_of(expert: Expert, native: Native | None) -> Native | None:
    """Return the request to send instead of a chat; None if the expert is asked through a chat."""
    if native is None or native.protocol not in ENDPOINTS:
        return None
    return native if serves(expert, native.protocol) else None


def as_chat(native: Native | None, answer: Json) -> Json:
    """An answer, or a chunk of one, in the shape of a chat completion."""
    if native is None:
        return answer
    rest = {name: value for name, value in answer.items() if name not in ("choices", "object")}
    named = RESULTS.get(native.protocol)
    if named is None:
        choices = answer.get("choices")
        if isinstance(choices, list):
            rest["choices"] = [_choice(choice) for choice in choices]
    elif isinstance(found := rest.pop(named, None), list):
        message = {"role": "assistant", "content": None, named: found}
        rest["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return rest | {ENDPOINT: native.protocol}


def _choice(choice: Any) -> Any:
    """A choice with text, as a delta and as a message: who reads it takes the one it looks for."""
    if not isinstance(choice, dict) or "text" not in choice:
        return choice
    rest = {name: value for name, value in choice.items() if name != "text"}
    said = {"content": choice["text"]}
    return {**rest, "delta": said, "message": {"role": "assistant", **said}}
