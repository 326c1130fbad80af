"""Capabilities of an expert, as far as they are known: each is present, missing or unknown.

An expert keeps it as JSON: an ability is `true` or `false`, and what is left out is unknown.
`endpoints` lists the endpoints that it serves and `no_endpoints` those that it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from collegium.errors import RegistryError
from collegium.registry.expert import DEFAULT_CONTEXT, RUN_HERE, Expert

LACKING: Mapping[str, str] = MappingProxyType({
    "images": "takes no images",
    "audio": "takes no audio",
    "video": "takes no video",
    "files": "takes no files",
    "audio_output": "gives no audio",
    "tools": "takes no tools",
    "parallel_tools": "makes no parallel tool calls",
    "json_schema": "keeps to no JSON schema",
    "json_object": "has no JSON mode",
    "developer_role": "takes no developer role",
    "logprobs": "gives no logprobs",
    "reasoning": "does not reason",
    "n": "gives one answer, not several",
    "hosted_tools": "runs no hosted tools",
    "chat": "answers no chat completions",
    "completions": "serves no /completions",
    "embeddings": "serves no /embeddings",
    "rerank": "serves no /rerank",
    "messages": "serves no /messages",
    "responses": "serves no /responses",
})  # fmt: skip
"""Every ability, and how an expert that lacks it is described."""
ENDPOINTS = ("chat", "completions", "embeddings", "rerank", "messages", "responses")
ABILITIES = tuple(LACKING)
YES_OR_NO = tuple(name for name in ABILITIES if name not in ENDPOINTS)
MOST_OUTPUT = "max_output_tokens"
WINDOW = "window_known"
"""Whether the context window was stated or detected; otherwise it is an assumption."""
BY_HAND = "by_hand"
CONTEXT = "context_window"
"""Not a capability: in the list of stated fields, it means that the context window was stated."""
SERVED, NOT_SERVED = "endpoints", "no_endpoints"
FIELDS = (*YES_OR_NO, SERVED, NOT_SERVED, MOST_OUTPUT, WINDOW, BY_HAND)

OF_ENGINES: Mapping[str, bool] = MappingProxyType(
    dict.fromkeys(("tools", "json_schema", "json_object", "developer_role", "logprobs", "n"), True)
    | dict.fromkeys(("chat", "completions"), True)
)
"""Capabilities of every engine that Collegium runs, whatever its model."""
OF_EMBEDDED: Mapping[str, bool] = MappingProxyType(
    dict.fromkeys(("images", "audio", "video", "files", "audio_output"), False)
    | {"reasoning": False, "embeddings": False, "rerank": False}
)
"""Further capabilities of the demonstration's model: it reads and writes text."""


def takes(expert: Expert, ability: str) -> bool | None:
    """Return whether an expert has an ability; None if that is unknown."""
    kept = expert.capabilities
    if ability in ENDPOINTS:
        if ability in kept.get(SERVED, ()):
            return True
        known = False if ability in kept.get(NOT_SERVED, ()) else None
    else:
        known = kept.get(ability)
    return _of_kind(expert, ability) if known is None else known


def _of_kind(expert: Expert, ability: str) -> bool | None:
    if expert.kind not in RUN_HERE:
        return None
    known = OF_ENGINES.get(ability)
    return OF_EMBEDDED.get(ability) if known is None and expert.embedded else known


def most_output(expert: Expert) -> int | None:
    """The maximum number of output tokens per answer; None if only the context window is known."""
    most = expert.capabilities.get(MOST_OUTPUT)
    return most if isinstance(most, int) else None


def knows_window(expert: Expert) -> bool:
    """Whether the context window is known, rather than the assumed default."""
    return (
        expert.kind in RUN_HERE
        or expert.context_window != DEFAULT_CONTEXT
        or bool(expert.capabilities.get(WINDOW))
    )


def shown(expert: Expert) -> dict[str, Any]:
    """Everything that can be known about an expert; None for what is unknown."""
    found: dict[str, Any] = {ability: takes(expert, ability) for ability in YES_OR_NO}
    found[SERVED] = {endpoint: takes(expert, endpoint) for endpoint in ENDPOINTS}
    return {**found, MOST_OUTPUT: most_output(expert), WINDOW: knows_window(expert)}


def stated(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge what an operator states into the capabilities: it overrides probes; None removes it."""
    by_hand = {*kept.get(BY_HAND, ())}
    said = {name for name, value in changes.items() if value is not None}
    by_hand = (by_hand | said) - (changes.keys() - said)
    return _with(kept, changes) | {BY_HAND: sorted(by_hand)}


def found(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the results of a probe into the capabilities; stated values take precedence."""
    by_hand = kept.get(BY_HAND, ())
    told = {n: v for n, v in changes.items() if n not in by_hand and v is not None}
    return _with(kept, told)


def stated_window(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the capabilities of an expert whose context window was stated."""
    return {**kept, WINDOW: True, BY_HAND: sorted({*kept.get(BY_HAND, ()), CONTEXT})}


def by_hand(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return only what an operator has stated."""
    said = {*kept.get(BY_HAND, ())}
    left = {name: value for name, value in kept.items() if name in said}
    for name in (SERVED, NOT_SERVED):
        if endpoints := [each for each in kept.get(name, ()) if each in said]:
            left[name] = endpoints
    return left | ({BY_HAND: sorted(said)} if said else {})


def refuse_its_bases(expert: Expert, changes: Mapping[str, Any]) -> None:
    """Raise RegistryError if a change concerns fields that a preset inherits from its base."""
    taken = sorted(changes.keys() & {"capabilities", "labels"})
    if expert.preset is not None and taken:
        raise RegistryError(
            f"'{expert.name}' is a preset and has the {' and '.join(taken)} of '{expert.origin}': "
            "change them there"
        )


def revised(expert: Expert, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operator's changes with capabilities and labels merged into the existing ones."""
    changes = dict(given)
    if "capabilities" in given:
        changes["capabilities"] = stated(expert.capabilities, given["capabilities"])
    if "labels" in given:
        labels = {**expert.labels, **given["labels"]}
        changes["labels"] = {name: value for name, value in labels.items() if value is not None}
    if CONTEXT in given and expert.preset is None:
        before = changes.get("capabilities", expert.capabilities)
        changes["capabilities"] = stated_window(before)
    return changes


def _with(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {name: value for name, value in kept.items() if name not in (SERVED, NOT_SERVED)}
    served, not_served = ({*kept.get(name, ())} for name in (SERVED, NOT_SERVED))
    for name, value in changes.items():
        if name in ENDPOINTS:
            served.discard(name)
            not_served.discard(name)
            if value is not None:
                (served if value else not_served).add(name)
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    lists = {SERVED: served, NOT_SERVED: not_served}
    return merged | {name: sorted(names) for name, names in lists.items() if names}


def problem_of(kept: Mapping[str, Any]) -> str:
    """Return why capabilities are invalid, or an empty string."""
    if unknown := sorted(kept.keys() - FIELDS):
        return f"there is no capability {', '.join(unknown)}; available: {', '.join(ABILITIES)}"
    if wrong := [n for n in (*YES_OR_NO, WINDOW) if not isinstance(kept.get(n, True), bool)]:
        return f"the capability {wrong[0]} is true or false"
    most = kept.get(MOST_OUTPUT, 1)
    if type(most) is not int or not 1 <= most < 2**31:
        return f"{MOST_OUTPUT} is a number of tokens of at least 1"
    for name in (SERVED, NOT_SERVED):
        if not set(kept.get(name, ())) <= set(ENDPOINTS):
            return f"an endpoint is one of {', '.join(ENDPOINTS)}"
    return ""
