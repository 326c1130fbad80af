"""Apply an expert's preset to a call, as the last thing before it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from collegium.experts.clients.events import Json
from collegium.experts.clients.reply import Call
from collegium.registry.presets import PROMPT

LENGTHS = ("max_tokens", "max_completion_tokens")
"""Two names of one limit: a request that sets either has set it."""


def with_preset(call: Call) -> Call:
    """The call as its expert is to be asked; what the request sets itself is left alone."""
    preset = call.expert.preset
    return call if preset is None else replace(call, body=completed(call.body, preset))


def completed(body: Mapping[str, Any], preset: Mapping[str, Any]) -> Json:
    """A body with a preset's defaults, its system prompt and its template."""
    messages: Sequence[Json] = body["messages"]
    if (template := preset.get("template")) is not None:
        messages = _in_template(messages, template)
    if (system := preset.get("system")) is not None:
        messages = _after_system(messages, system)
    return {**body, **_defaults(body, preset["body"]), "messages": list(messages)}


def _defaults(body: Mapping[str, Any], defaults: Mapping[str, Any]) -> Json:
    given = {name for name, value in body.items() if value is not None}
    if given.intersection(LENGTHS):
        given.update(LENGTHS)
    return {name: value for name, value in defaults.items() if name not in given}


def _after_system(messages: Sequence[Json], system: str) -> list[Json]:
    """One system message, for many chat templates refuse a second: the preset's, then its own."""
    first, *rest = messages
    if first["role"] not in ("system", "developer"):
        return [{"role": "system", "content": system}, *messages]
    return [{**first, "content": _wrapped(first.get("content"), f"{system}\n\n", "")}, *rest]


def _in_template(messages: Sequence[Json], template: str) -> list[Json]:
    """The last message of the user, put where the template says."""
    before, _, after = template.partition(PROMPT)
    changed = list(messages)
    for at in reversed(range(len(changed))):
        if changed[at]["role"] == "user":
            content = _wrapped(changed[at].get("content"), before, after)
            changed[at] = {**changed[at], "content": content}
            break
    return changed


def _wrapped(content: Any, before: str, after: str) -> Any:
    """Text around a message's content; around all of its parts where it has several."""
    if not isinstance(content, list):
        return f"{before}{content or ''}{after}"
    start = [{"type": "text", "text": before}] if before else []
    return [*start, *content, *([{"type": "text", "text": after}] if after else [])]
