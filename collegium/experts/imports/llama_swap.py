"""Read the `config.yaml` of llama-swap, which continues to load and unload the models.

Source of the format: llama-swap's example configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collegium.experts.imports.found import Found, mapping, mappings

ADDRESS = "http://127.0.0.1:8080/v1"
"""llama-swap's default address."""
CARRIED = ("aliases", "description", "name", "unlisted")
ITS_OWN = ("cmd", "cmdStop", "proxy", "checkEndpoint", "ttl", "env", "macros", "useModelName")
"""Options that remain llama-swap's business."""
SECTIONS = ("models", "peers")


def read(config: Mapping[str, Any], address: str = ADDRESS) -> Found:
    """Convert each model to an expert at llama-swap's address, and aliases to aliases."""
    found, key = Found(), None
    if config.get("apiKeys"):
        key = "LLAMA_SWAP_API_KEY"
        found.skip("apiKeys", "the keys", f"put one in the variable {key} of the service")
    for name, options in mapping(config.get("models")).items():
        model = mapping(options)
        words = str(model.get("description") or model.get("name") or "")[:500]
        described = {"kind": "openai", "base_url": address, "api_key_env": key}
        added = found.add(name, {**described, "model": name, "description": words})
        for alias in _aliases(model.get("aliases")):
            found.aliases[alias] = added
        rest = {k: v for k, v in model.items() if k not in (*CARRIED, *ITS_OWN)}
        found.skip_all(name, rest, "llama-swap goes on to apply it")
    for name, peer in mapping(config.get("peers")).items():
        for model_name in mapping(peer).get("models") or ():
            found.add(
                str(model_name),
                {"kind": "openai", "base_url": address, "api_key_env": key, "model": model_name},
            )
        found.skip(name, "the peer's own address", "its models are reached through llama-swap")
    for section in config:
        if section not in (*SECTIONS, "apiKeys"):
            found.skip(str(section), "this section", "llama-swap goes on to apply it")
    return found


def _aliases(given: Any) -> list[str]:
    """Aliases are names, or mappings with an `id`."""
    named = [str(alias) for alias in given or () if isinstance(alias, str)]
    return named + [str(alias["id"]) for alias in mappings(given) if alias.get("id")]
