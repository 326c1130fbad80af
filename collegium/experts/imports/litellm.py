"""Read the `config.yaml` of LiteLLM's proxy.

Source of the format: LiteLLM's documentation of the proxy's configuration, version 1.110.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collegium.experts.imports.found import (
    Found,
    Json,
    key_variable,
    mapping,
    mappings,
    per_million,
    whole,
)

ENVIRONMENT = "os.environ/"
COMPATIBLE = ("openai/", "hosted_vllm/", "text-completion-openai/")
"""Providers that are called directly if an address is given."""
OF_CHAT = (None, "chat", "completion", "responses")
CARRIED = ("model", "api_base", "base_url", "api_key")
PER_MINUTE = ("rpm", "tpm", "max_parallel_requests")
ABILITIES = {
    "supports_vision": "images",
    "supports_audio_input": "audio",
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
}
PRICES = {
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
}
OF_PRICES = ("input_cost_per_token", "output_cost_per_token", *PRICES)
"""Fields of prices. A deployment may have them in its parameters or in its information."""
OF_INFO = (
    "id", "mode", "base_model", "max_tokens", "max_input_tokens", "max_output_tokens",
    "description", *ABILITIES, *OF_PRICES,
)  # fmt: skip


def read(config: Mapping[str, Any]) -> Found:
    """Convert each deployment to an expert, and group aliases to aliases."""
    found = Found()
    first: dict[str, str] = {}
    for deployment in mappings(config.get("model_list")):
        _deployment(found, deployment, first)
    router = dict(mapping(config.get("router_settings")))
    for alias, target in mapping(router.pop("model_group_alias", None)).items():
        group = str(mapping(target).get("model") if isinstance(target, Mapping) else target)
        if group in first:
            found.aliases[alias] = first[group]
        else:
            found.skip(alias, f"an alias of '{group}', which is not imported")
    found.skip_all("router_settings", router, "`auto` chooses, and failover is built in")
    found.skip_all("litellm_settings", mapping(config.get("litellm_settings")))
    general = mapping(config.get("general_settings"))
    found.skip_all("general_settings", general, "see COLLEGIUM_API_KEY and COLLEGIUM_DATABASE_URL")
    variables = mapping(config.get("environment_variables"))
    for name in variables:
        found.skip("environment_variables", name, "set it in the service's environment")
    return found


def _deployment(found: Found, deployment: Mapping[str, Any], first: dict[str, str]) -> None:
    group = str(deployment.get("model_name") or "")
    params, info = mapping(deployment.get("litellm_params")), mapping(deployment.get("model_info"))
    model = str(params.get("model") or "")
    if not group or not model:
        return found.skip("model_list", "an entry without model_name and litellm_params.model")
    if "*" in group or "*" in model:
        return found.skip(group, f"a wildcard, {model}", "register each model by its name")
    if info.get("mode") not in OF_CHAT:
        return found.skip(group, f"a model of mode {info['mode']}")
    priced = {key: params[key] for key in OF_PRICES if params.get(key) is not None}
    info = {**info, **priced}
    name = found.add(group, _expert(group, model, params, info, found))
    if group in first:
        found.skip(group, f"balancing with '{first[group]}'", f"it is the expert '{name}'")
    first.setdefault(group, name)
    rest = {k: v for k, v in params.items() if k not in (*CARRIED, *OF_PRICES)}
    limits = {key: rest.pop(key) for key in PER_MINUTE if key in rest}
    found.skip_all(group, limits, "limit keys, teams or applications with `collegium budget set`")
    hint = f"set defaults with `collegium expert add … --like {name} --with JSON`"
    found.skip_all(group, rest, hint)
    found.skip_all(group, {k: v for k, v in info.items() if k not in OF_INFO})
    return None


def _expert(
    group: str, model: str, params: Mapping[str, Any], info: Mapping[str, Any], found: Found
) -> Json:
    address = _value(params.get("api_base") or params.get("base_url"), group, found)
    prefix = next((p for p in COMPATIBLE if model.startswith(p)), None)
    direct = bool(address and prefix)
    return {
        "kind": "openai" if direct else "litellm",
        "model": model.removeprefix(prefix or "") if direct else model,
        "base_url": address,
        "api_key_env": _key(params.get("api_key"), group, found),
        "description": str(info.get("description") or "")[:500],
        "input_price": per_million(info.get("input_cost_per_token")),
        "output_price": per_million(info.get("output_cost_per_token")),
        "context_window": whole(info.get("max_input_tokens")),
        "prices": {
            name: price
            for field, name in PRICES.items()
            if (price := per_million(info.get(field))) is not None
        },
        "capabilities": {
            name: info[field]
            for field, name in ABILITIES.items()
            if isinstance(info.get(field), bool)
        },
    }


def _key(given: Any, group: str, found: Found) -> str | None:
    if given is None:
        return None
    if str(given).startswith(ENVIRONMENT):
        return str(given).removeprefix(ENVIRONMENT)
    variable = key_variable(group)
    found.skip(group, "its key", f"put it in the variable {variable} of the service")
    return variable


def _value(given: Any, group: str, found: Found) -> str | None:
    """A value that may be kept in a variable, which only the proxy would read."""
    if given is None or not str(given).startswith(ENVIRONMENT):
        return None if given is None else str(given)
    import os

    variable = str(given).removeprefix(ENVIRONMENT)
    if variable not in os.environ:
        found.skip(group, f"its address, the variable {variable}", "it is not set here")
    return os.environ.get(variable)
