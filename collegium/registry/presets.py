"""Presets: another expert's model with its own request fields, system prompt or template."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from collegium.errors import RegistryError
from collegium.registry.expert import Expert

PROMPT = "{prompt}"
TEXTS = ("system", "template")
PARTS = ("body", *TEXTS)
NEVER_SET = ("best_of", "messages", "model", "n", "routing", "stream", "stream_options")
"""Fields of a request that are the caller's, or that the service writes."""
LENGTHS = ("max_tokens", "max_completion_tokens")
"""Fields that the service counts with: what an answer is reserved and cut at."""
MOST_LENGTH = 2**31


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "temperature": (lambda v: _is_number(v) and 0 <= v <= 2, "a number from 0 to 2"),
    "top_p": (lambda v: _is_number(v) and 0 < v <= 1, "a number greater than 0 and at most 1"),
    "presence_penalty": (_is_number, "a number"),
    "frequency_penalty": (_is_number, "a number"),
    "seed": (lambda v: type(v) is int and -(2**63) <= v < 2**63, "an integer of at most 64 bits"),
    "stop": (_are_texts, "a string or a list of strings"),
    "tools": (_are_objects, "a list of objects"),
    "tool_choice": (lambda v: isinstance(v, str | Mapping), "a string or an object"),
    "parallel_tool_calls": (lambda v: isinstance(v, bool), "true or false"),
    "response_format": (lambda v: isinstance(v, Mapping), "an object"),
    "logit_bias": (lambda v: isinstance(v, Mapping), "an object"),
    "reasoning_effort": (lambda v: isinstance(v, str), "a string"),
}
"""Fields that every request's body is checked for: what their values have to be, in words."""
ITS_BASES = (
    "kind",
    "model",
    "engine",
    "base_url",
    "adapter",
    "api_key_env",
    "context_window",
    "parameters_b",
    "capabilities",
    "labels",
)
MOST_DEEP, MOST_LONG = 32, 100_000
UNLESS_STATED = ("input_price", "output_price", "prior")


def preset_of(base: Expert, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A preset as the registry keeps it; RegistryError says what can't be set.

    `system` and `template` are set before a request is sent, `body` and every other field are
    defaults of its body. The fields of `extra_body` are fields of the body, as in OpenAI's SDK.
    """
    if base.preset is not None:
        root = base.origin
        raise RegistryError(
            f"expert '{base.name}' is itself a preset of '{root}': base this one on '{root}'"
        )
    rest = dict(settings)
    body = rest.pop("body", {})
    parts: dict[str, Any] = {part: rest.pop(part) for part in TEXTS if part in rest}
    extra = rest.pop("extra_body", {})
    if not isinstance(body, dict) or not isinstance(extra, dict):
        raise RegistryError("a preset's `body` and `extra_body` must be JSON objects")
    preset: dict[str, Any] = {"base": base.name, "body": {**extra, **body, **rest}, **parts}
    if problem := problem_of(preset):
        raise RegistryError(problem)
    return preset


def problem_of(preset: Mapping[str, Any]) -> str:
    """Return why a preset can't be called, or an empty string."""
    body, system, template = (preset.get(part) for part in PARTS)
    if not isinstance(preset.get("base"), str) or not isinstance(body, Mapping):
        return "a preset has the name of its base and a body"
    if not body and not system and not template:
        return "a preset sets something: fields of the body, `system` or `template`"
    if taken := sorted(set(NEVER_SET) & body.keys()):
        return f"a preset can't set {', '.join(taken)}"
    if wrong := [name for name in LENGTHS if not _is_length(body.get(name))]:
        return f"a preset's {' and '.join(wrong)} must be whole numbers of at least 1"
    for name, (fits, kind) in KINDS.items():
        if (value := body.get(name)) is not None and not fits(value):
            return f"a preset's {name} must be {kind}"
    if not all(text is None or (isinstance(text, str) and text) for text in (system, template)):
        return "a preset's `system` and `template` are texts"
    if template is not None and template.count(PROMPT) != 1:
        return f"a preset's template has {PROMPT} once, where the message goes"
    try:
        length = len(json.dumps(body, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return "a preset's fields are JSON"
    if _depth(body) > MOST_DEEP:
        return f"a preset's fields are nested at most {MOST_DEEP} deep"
    if length + len(system or "") + len(template or "") > MOST_LONG:
        return f"a preset has at most {MOST_LONG} characters"
    return ""


def _is_length(value: Any) -> bool:
    return value is None or (type(value) is int and 0 < value < MOST_LENGTH)


def _depth(value: Any) -> int:
    """Return how deeply a JSON value is nested; counting stops beyond `MOST_DEEP`."""
    level, deep = [value], 0
    while level and deep <= MOST_DEEP:
        deep += 1
        inner = [v.values() if isinstance(v, Mapping) else v for v in level]
        level = [i for v in inner if not isinstance(v, str | int | float | None) for i in v]
    return deep


def digest_of(preset: Mapping[str, Any]) -> str:
    """A name for what is set, so that outcomes of other settings are not taken for this one's."""
    text = json.dumps({part: preset.get(part) for part in PARTS}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def resolved(expert: Expert, base: Expert | None) -> Expert:
    """A preset with the fields that it inherits from its base; the base's tags apply as well."""
    if expert.preset is None or base is None:
        return expert
    fields: dict[str, Any] = {name: getattr(base, name) for name in ITS_BASES}
    unstated = (name for name in UNLESS_STATED if getattr(expert, name) is None)
    fields |= {name: getattr(base, name) for name in unstated}
    fields["prices"] = {**base.prices, **expert.prices}
    return replace(expert, **fields, tags=tuple(dict.fromkeys((*base.tags, *expert.tags))))


def all_resolved(experts: Iterable[Expert]) -> tuple[Expert, ...]:
    """Return all experts with presets resolved, in the same order."""
    found = tuple(experts)
    by_name = {expert.name: expert for expert in found}
    return tuple(resolved(expert, by_name.get(expert.origin)) for expert in found)
