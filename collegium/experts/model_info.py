"""Free information on experts: from their endpoint, LiteLLM's price list, or a model's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collegium.errors import CollegiumError, ModelGone, ProbeFailed
from collegium.experts.clients.api_keys import USUAL, api_key
from collegium.experts.clients.connection import is_address
from collegium.experts.clients.http import HttpExpert
from collegium.experts.engine_flags import value_of
from collegium.experts.model_families import parsers_of
from collegium.experts.pool import Pool
from collegium.experts.prices import HOSTS, Listed, entry_of, listed
from collegium.registry.capabilities import CONTEXT, MOST_OUTPUT, WINDOW, found
from collegium.registry.expert import RUN_HERE, Expert

WITHOUT_VERSION = "its address does not end in /v1, as most do: is the address right?"
WINDOWS = (
    "max_model_len", "context_window", "context_length", "max_context_length",
    "max_input_tokens", "loaded_context_length",
)  # fmt: skip
"""Names of the context window at vLLM, Groq, OpenRouter, Together, Mistral, LM Studio and others.
"""
MOST_OUTPUTS = ("max_completion_tokens", "max_output_tokens")
MODALITIES = {"image": "images", "audio": "audio", "video": "video", "file": "files"}
PARAMETERS = {
    "tools": "tools",
    "parallel_tool_calls": "parallel_tools",
    "structured_outputs": "json_schema",
    "response_format": "json_object",
    "logprobs": "logprobs",
    "reasoning": "reasoning",
}
"""OpenRouter's `supported_parameters`: a list of all."""
OF_MISTRAL = {"function_calling": "tools", "vision": "images"}
LISTED = {
    "supports_vision": "images",
    "supports_audio_input": "audio",
    "supports_video_input": "video",
    "supports_pdf_input": "files",
    "supports_audio_output": "audio_output",
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
}
PATHS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
SIGHT = ("vision_config", "image_token_id", "image_token_index")
HEARING = ("audio_config", "audio_token_id", "audio_token_index")


@dataclass(frozen=True)
class ModelInfo:
    """The context window, None if unknown, and further information."""

    window: int | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)


async def described(
    expert: Expert, pool: Pool, *, context_stated: bool
) -> tuple[Expert, dict[str, str]]:
    """Return the expert completed with free information, and the sources of the values.

    Unknown prices are looked up, and so is the context window unless it is given.
    """
    row: Mapping[str, Any] = {}
    if expert.kind == "openai":
        expert, row = await found_on_endpoint(expert, pool.key_variables)
    expert, looked_up = with_listed(expert, context_stated=context_stated)
    told, known = from_row(row), from_price_list(expert).capabilities
    engine = pool.engines.get(expert.engine or "")
    if engine is not None:
        known = from_files(engine.spec.model_path, engine.spec.flags).capabilities
    if told.window is not None and not context_stated:
        expert = replace(expert, context_window=told.window)
        looked_up[CONTEXT] = "the endpoint's list of models"
    window = {WINDOW: True} if context_stated or CONTEXT in looked_up else {}
    capabilities = found(expert.capabilities, {**known, **told.capabilities, **window})
    return replace(expert, capabilities=capabilities), looked_up


def with_listed(expert: Expert, *, context_stated: bool) -> tuple[Expert, dict[str, str]]:
    """Return the expert completed from a price list, and the sources of the values."""
    entry = None if expert.kind in RUN_HERE else listed(expert)
    if entry is None:
        return expert, {}
    wanted = {name for name in ("input_price", "output_price") if getattr(expert, name) is None}
    wanted |= set() if context_stated else {"context_window"}
    found = {name: value for name in wanted if (value := getattr(entry, name)) is not None}
    priced = replace(expert, **found)
    if entry.prices and not expert.prices and _costs_as_listed(priced, entry):
        found["prices"] = entry.prices
    source = f"LiteLLM's price list, as {entry.key}"
    return replace(expert, **found), dict.fromkeys(sorted(found), source)


def _costs_as_listed(expert: Expert, entry: Listed) -> bool:
    """Whether the list's further prices go with those of input and output."""
    told = entry.input_price, entry.output_price
    return (expert.input_price, expert.output_price) == told


def hint_at_address(expert: Expert, why: CollegiumError) -> str:
    """What to check if the address, rather than its model, may be what is not there (404)."""
    usual = expert.kind != "openai" or (expert.base_url or "").rstrip("/").endswith("/v1")
    return "" if usual or not isinstance(why, ModelGone) else f" ({WITHOUT_VERSION})"


async def found_on_endpoint(
    expert: Expert, key_variables: Sequence[str] = USUAL
) -> tuple[Expert, Mapping[str, Any]]:
    """Check an OpenAI-compatible address; take the model's name and further information from it."""
    if not is_address(expert.base_url or ""):
        raise ProbeFailed(
            f"'{expert.base_url}' is not the URL of an API: write http://HOST:PORT/v1"
        )
    try:
        rows = {str(row["id"]): row for row in await _served(expert, key_variables)}
    except CollegiumError as exc:
        words = f"{expert.base_url} does not answer GET /models: {exc.whole}"
        raise ProbeFailed(f"{words}{hint_at_address(expert, exc)}") from exc
    if expert.model in rows:
        return expert, rows[expert.model]
    served = ", ".join(rows) or "none"
    if expert.model:
        raise ProbeFailed(f"{expert.base_url} serves no model '{expert.model}'; it serves {served}")
    if len(rows) != 1:
        raise ProbeFailed(f"{expert.base_url} serves {served}: name one with --model")
    (model,) = rows
    return replace(expert, model=model), rows[model]


async def _served(expert: Expert, key_variables: Sequence[str]) -> list[dict[str, Any]]:
    key = api_key(expert, key_variables)
    endpoint = HttpExpert(expert.name, expert.base_url or "", "", api_key=key, timeout_s=15.0)
    try:
        return await endpoint.rows()
    finally:
        await endpoint.aclose()


def from_row(row: Mapping[str, Any]) -> ModelInfo:
    """Read a row of an endpoint's list of models, in any known format; odd types are ignored."""
    meta, provider = _object(row.get("meta")), _object(row.get("top_provider"))
    window = _tokens(row, WINDOWS) or _tokens(meta, ("n_ctx", "n_ctx_train"))
    known: dict[str, Any] = {}
    modalities = _object(row.get("architecture")).get("input_modalities")
    if isinstance(modalities, list) and modalities:
        known |= {ability: kind in modalities for kind, ability in MODALITIES.items()}
    parameters = row.get("supported_parameters")
    if isinstance(parameters, list) and parameters:
        known |= {ability: name in parameters for name, ability in PARAMETERS.items()}
    mistral = _object(row.get("capabilities"))
    known |= {
        ability: told
        for name, ability in OF_MISTRAL.items()
        if isinstance(told := mistral.get(name), bool)
    }
    if most := _tokens(row, MOST_OUTPUTS) or _tokens(provider, MOST_OUTPUTS):
        known[MOST_OUTPUT] = most
    return ModelInfo(window, known | ({WINDOW: True} if window else {}))


def from_price_list(expert: Expert) -> ModelInfo:
    """Read LiteLLM's entry, if a model is served by the provider that the list means."""
    host = urlsplit(expert.base_url or "").hostname
    hosted = host in HOSTS or (expert.kind == "litellm" and host is None)
    known_there = entry_of(expert) if hosted else None
    if known_there is None:
        return ModelInfo()
    entry = known_there[1]
    known: dict[str, Any] = {
        ability: told
        for name, ability in LISTED.items()
        if isinstance(told := entry.get(name), bool)
    }
    kinds = entry.get("supported_modalities")
    if isinstance(kinds, list) and kinds:
        told = {ability: kind in kinds for kind, ability in MODALITIES.items() if kind != "file"}
        known = told | known
    paths = entry.get("supported_endpoints")
    known |= {PATHS[path]: True for path in _texts(paths) if path in PATHS}
    if most := _tokens(entry, ("max_output_tokens",)):
        known[MOST_OUTPUT] = most
    return ModelInfo(None, known)


def from_files(folder: Path, flags: Sequence[str] = ()) -> ModelInfo:
    """Read the configuration of a model that we run, and its engine's options."""
    try:
        config = _object(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return ModelInfo()
    sees, hears = (any(name in config for name in names) for names in (SIGHT, HEARING))
    known: dict[str, Any] = {"files": False, "audio_output": False}
    names = _texts(config.get("architectures"))
    reads_text = bool(names) and all(name.endswith("ForCausalLM") for name in names)
    for ability, there in (("images", sees), ("audio", hears)):
        if there or reads_text:
            known[ability] = there
    parser = value_of(flags, "reasoning-parser")
    if parser or (parser is None and parsers_of(folder).reasoning):
        known["reasoning"] = True
    return ModelInfo(None, known)


def _tokens(row: Mapping[str, Any], names: Sequence[str]) -> int | None:
    counts = (row.get(name) for name in names)
    return next((n for n in counts if type(n) is int and 0 < n < 2**31), None)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
