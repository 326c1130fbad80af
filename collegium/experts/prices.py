"""What models cost and hold, looked up in the price list that comes with LiteLLM."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from collegium.registry.expert import Expert

LIST = "model_prices_and_context_window_backup.json"
ANSWERS = ("chat", "completion", "responses")
"""The list's modes of models that answer in text."""
RUN_AT_HOME = ("ollama", "ollama_chat")
"""Whose price of 0 is meant; elsewhere in the list it is a trial's, or missing."""
HOSTS = MappingProxyType({
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.cohere.com": "cohere_chat",
    "api.deepinfra.com": "deepinfra",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks_ai",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshot",
    "api.openai.com": "openai",
    "api.perplexity.ai": "perplexity",
    "api.sambanova.ai": "sambanova",
    "api.together.xyz": "together_ai",
    "api.x.ai": "xai",
    "generativelanguage.googleapis.com": "gemini",
    "openrouter.ai": "openrouter",
})  # fmt: skip
"""Providers by the host of their OpenAI-compatible address."""
PER_MILLION = 1_000_000


@dataclass(frozen=True)
class Listed:
    """One entry of the price list: dollars per million tokens, context in tokens; None: unknown."""

    key: str
    input_price: float | None
    output_price: float | None
    context_window: int | None


def listed(expert: Expert) -> Listed | None:
    """The entry of a remote expert's model; None where the list does not know it."""
    entries = price_list()
    for key, provider in _keys(expert):
        entry = entries.get(key)
        if entry is None or entry.get("mode", "chat") not in ANSWERS:
            continue
        if provider is None or _provider(entry) == provider:
            return _read(key, entry)
    return None


def _keys(expert: Expert) -> Iterator[tuple[str, str | None]]:
    """What a model may be listed as, and whose the entry has to be; None where the key tells."""
    model = expert.model
    prefix, slash, rest = model.partition("/")
    host = urlsplit(expert.base_url or "").hostname or ""
    if host in HOSTS:
        yield f"{HOSTS[host]}/{model}", None
        yield model, HOSTS[host]
        return
    yield model, None
    if slash:
        yield rest, prefix


def _provider(entry: Mapping[str, Any]) -> str:
    provider = str(entry.get("litellm_provider", ""))
    return "openai" if provider == "text-completion-openai" else provider


def _read(key: str, entry: Mapping[str, Any]) -> Listed:
    per_token = [entry.get(f"{side}_cost_per_token") for side in ("input", "output")]
    if not any(per_token) and _provider(entry) not in RUN_AT_HOME:
        per_token = [None, None]
    prices = [None if p is None else round(float(p) * PER_MILLION, 9) for p in per_token]
    context = entry.get("max_input_tokens") or entry.get("max_tokens")
    held = int(context) if isinstance(context, int | float) else None
    return Listed(key, prices[0], prices[1], held)


@cache
def price_list() -> Mapping[str, Mapping[str, Any]]:
    """The list as it lies in LiteLLM's package, whose import would take seconds; else an empty one.

    It is read as a file and never fetched.
    """
    spec = find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        try:
            entries = json.loads((Path(folder) / LIST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(entries, dict):
            return {name: e for name, e in entries.items() if isinstance(e, dict)}
    return {}
