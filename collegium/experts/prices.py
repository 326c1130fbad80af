"""Prices and context windows of models, from the price list in LiteLLM's package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from collegium.experts.further_prices import base_prices, further_prices
from collegium.registry.expert import Expert

LIST = "model_prices_and_context_window_backup.json"
ANSWERS = ("chat", "completion", "responses")
"""The list's modes of models that answer in text."""
RUN_AT_HOME = ("ollama", "ollama_chat")
"""Providers whose price of 0 is meant; elsewhere in the list it means a trial or a missing price.
"""
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


@dataclass(frozen=True)
class Listed:
    """One entry of the price list: dollars per million tokens, context in tokens; None if
    unknown.
    """

    key: str
    input_price: float | None
    output_price: float | None
    context_window: int | None
    prices: Mapping[str, float] = field(default_factory=dict)
    """Prices other than those of input and output."""


def listed(expert: Expert) -> Listed | None:
    """Return the entry of a remote expert's model; None if the list doesn't have it."""
    found = entry_of(expert)
    return None if found is None else _read(*found)


def entry_of(expert: Expert) -> tuple[str, Mapping[str, Any]] | None:
    """The entry as the list has it, and the name that it has there."""
    entries = price_list()
    for key, provider in _keys(expert):
        entry = entries.get(key)
        if entry is None or entry.get("mode", "chat") not in ANSWERS:
            continue
        if provider is None or _provider(entry) == provider:
            return key, entry
    return None


def _keys(expert: Expert) -> Iterator[tuple[str, str | None]]:
    """Yield the possible names of a model in the list, with the provider if the name doesn't tell
    it.
    """
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
    prices = base_prices(entry)
    if not any(prices) and _provider(entry) not in RUN_AT_HOME:
        prices = None, None
    context = entry.get("max_input_tokens") or entry.get("max_tokens")
    held = int(context) if isinstance(context, int | float) else None
    return Listed(key, prices[0], prices[1], held, further_prices(entry) if any(prices) else {})


@cache
def price_list() -> Mapping[str, Mapping[str, Any]]:
    """Read the list from LiteLLM's package without importing it, which takes seconds; empty if
    absent.

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
