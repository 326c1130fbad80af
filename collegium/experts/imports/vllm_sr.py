"""Read the `config.yaml` of vLLM's semantic router, version 0.3 and earlier.

Source of the formats: the project's reference configurations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from collegium.experts.imports.found import (
    Found,
    Json,
    key_variable,
    mapping,
    mappings,
    whole,
)

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([BM])", re.IGNORECASE)
ABILITIES = {"tools": "tools", "reasoning": "reasoning", "vision": "images", "multimodal": "images"}
INPUTS = {"image": "images", "audio": "audio", "file": "files"}
RULES = "Collegium learns from outcomes instead: see docs/guides/your-models.md"
OF_MODEL = ("name", "provider_model_id", "pricing", "backend_refs", "api_format")
OF_CARD = (
    "name", "description", "param_size", "context_window_size", "tags", "distribution",
    "capabilities", "modalities",
)  # fmt: skip


def read(config: Mapping[str, Any]) -> Found:
    """Convert each backend of a model to an expert; a model's scores become its prior."""
    found = Found()
    scores, cards = _scores(config), _cards(config)
    providers = mapping(config.get("providers"))
    if providers:
        for model in mappings(providers.get("models")):
            _model(found, model, cards, scores)
    else:
        _before(found, config, scores)
    read_here = ("version", "providers", "vllm_endpoints", "model_config", "evaluation")
    for section in config:
        if section not in (*read_here, "routing"):
            found.skip(str(section), "this section", RULES if section == "categories" else "")
    for part in mapping(config.get("routing")):
        if part != "modelCards":
            found.skip("routing", part, RULES)
    return found


def _model(
    found: Found,
    model: Mapping[str, Any],
    cards: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, float],
) -> None:
    name = str(model.get("name") or "")
    backends = [*mappings(model.get("backend_refs"))]
    if not name or not backends:
        return found.skip(name or "providers.models", "a model without backend_refs")
    if model.get("api_format", "openai") != "openai":
        return found.skip(
            name,
            f"api_format {model['api_format']}",
            "register it with `collegium expert add --litellm`",
        )
    card = mapping(cards.get(name))
    if card.get("modality") == "diffusion":
        return found.skip(name, "a model that makes images")
    for position, backend in enumerate(backends):
        added = found.add(
            name,
            {
                "kind": "openai",
                "model": str(model.get("provider_model_id") or name),
                "base_url": _address(backend),
                "api_key_env": _key(backend, name, found),
                "prior": scores.get(name),
                **_priced(mapping(model.get("pricing")), name, found),
                **_described(card),
            },
        )
        if position:
            found.skip(name, f"a weight between backends: '{added}' is an expert of its own")
    found.skip_all(name, {k: v for k, v in model.items() if k not in OF_MODEL})
    found.skip_all(name, {k: v for k, v in card.items() if k not in OF_CARD})
    return None


def _before(found: Found, config: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    """The form before version 0.3: endpoints beside models."""
    endpoints = {str(e.get("name")): e for e in mappings(config.get("vllm_endpoints"))}
    for name, options in mapping(config.get("model_config")).items():
        model = mapping(options)
        wanted = model.get("preferred_endpoints") or [
            key for key, endpoint in endpoints.items() if name in (endpoint.get("models") or ())
        ]
        known = [endpoints[str(key)] for key in wanted if str(key) in endpoints]
        if not known:
            found.skip(name, "a model that no endpoint in vllm_endpoints serves")
        for endpoint in known:
            body = {
                "kind": "openai",
                "model": name,
                "base_url": f"http://{endpoint.get('address')}:{endpoint.get('port')}/v1",
                "prior": scores.get(name),
                **_priced(mapping(model.get("pricing")), name, found),
            }
            found.add(name, body)
        rest = {k: v for k, v in model.items() if k not in ("pricing", "preferred_endpoints")}
        found.skip_all(name, rest)


def _address(backend: Mapping[str, Any]) -> str:
    if base := backend.get("base_url"):
        return str(base).rstrip("/")
    return f"{backend.get('protocol', 'http')}://{backend.get('endpoint')}/v1"


def _key(backend: Mapping[str, Any], name: str, found: Found) -> str | None:
    if variable := backend.get("api_key_env"):
        return str(variable)
    if not backend.get("api_key"):
        return None
    variable = key_variable(name)
    found.skip(name, "its key", f"put it in the variable {variable} of the service")
    return str(variable)


def _priced(pricing: Mapping[str, Any], name: str, found: Found) -> Json:
    if str(pricing.get("currency", "USD")).upper() != "USD":
        found.skip(name, f"prices in {pricing['currency']}", "set them in dollars")
        return {}
    further = {
        "cached_input": pricing.get("cached_input_per_1m"),
        "cache_write": pricing.get("cache_write_per_1m"),
    }
    return {
        "input_price": pricing.get("prompt_per_1m"),
        "output_price": pricing.get("completion_per_1m"),
        "prices": {key: price for key, price in further.items() if price is not None},
    }


def _described(card: Mapping[str, Any]) -> Json:
    size = SIZE.fullmatch(str(card.get("param_size", "")).strip())
    licence = mapping(card.get("distribution")).get("license")
    told = {ABILITIES[c]: True for c in card.get("capabilities") or () if c in ABILITIES}
    takes = mapping(card.get("modalities")).get("input")
    if isinstance(takes, list):
        told |= {ability: kind in takes for kind, ability in INPUTS.items()}
    return {
        "description": str(card.get("description") or "")[:500],
        "parameters_b": None
        if size is None
        else float(size[1]) / (1 if size[2].upper() == "B" else 1000),
        "context_window": whole(card.get("context_window_size")),
        "tags": tuple(str(tag).replace(" ", "-") for tag in card.get("tags") or ()),
        "labels": {"licence": str(licence)} if licence else {},
        "capabilities": told,
    }


def _cards(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    cards = mappings(mapping(config.get("routing")).get("modelCards"))
    return {str(card.get("name")): card for card in cards}


def _scores(config: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean of the operator's scores of each model, if they are rates."""
    given: dict[str, list[float]] = {}
    for record in mappings(mapping(config.get("evaluation")).get("records")):
        score = mapping(record.get("metrics")).get("score")
        given.setdefault(str(record.get("model")), []).append(_rate(score))
    for category in mappings(config.get("categories")):
        for row in mappings(category.get("model_scores")):
            given.setdefault(str(row.get("model")), []).append(_rate(row.get("score")))
    means = {model: fmean(rates) for model, rates in given.items()}
    return {model: round(mean, 4) for model, mean in means.items() if 0 <= mean <= 1}


def _rate(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else float("nan")
