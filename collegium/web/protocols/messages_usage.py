"""Usage in Anthropic's format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collegium.experts.clients.events import Json

WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


def messages_usage(usage: Mapping[str, Any]) -> Json:
    """Usage of a chat completion: its prompt has the cached tokens in it, Anthropic's has not."""
    details = _mapping(usage.get("prompt_tokens_details"))
    read = _tokens(details.get("cached_tokens")) or _tokens(usage.get("cache_read_input_tokens"))
    written = _tokens(usage.get("cache_creation_input_tokens"))
    written = written or next(filter(None, (_tokens(details.get(n)) for n in WRITTEN)), 0)
    told: Json = {
        "input_tokens": max(0, _tokens(usage.get("prompt_tokens")) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": _tokens(usage.get("completion_tokens")),
    }
    thought = _mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")
    if thinking := _tokens(thought):
        told["output_tokens_details"] = {"thinking_tokens": thinking}
    return told


def _tokens(value: object) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value < 2**53 else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
