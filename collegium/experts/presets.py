"""Apply an expert's preset to a call, as the last step before it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from collegium.experts.clients.counting import further_tokens, prompt_tokens
from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call
from collegium.registry.expert import Expert
from collegium.registry.presets import PROMPT

LENGTHS = ("max_tokens", "max_completion_tokens")
"""Two names of one limit: a request that sets either has set it."""

TIER = "service_tier"
"""The field that asks a provider for a faster or a cheaper service, which may have its own prices.
"""
EFFORTLESS = (None, "none", "minimal")


@dataclass(frozen=True)
class Added:
    """How a preset changes the tokens of a call."""

    prompt_tokens: int = 0
    """The maximum number of tokens of its system prompt, template, tools and other texts."""
    max_tokens: int | None = None
    """The limit of a request that sets none."""
    thinks: bool = False
    """Whether it enables reasoning, which is billed."""


NOTHING = Added()


def added_by(preset: Mapping[str, Any]) -> Added:
    """Return how a preset will change the tokens of its calls."""
    body, texts = preset["body"], (preset.get("system"), preset.get("template"))
    messages = [{"content": text} for text in texts if text is not None]
    lengths = [n for name in LENGTHS if isinstance(n := body.get(name), int) and n > 0]
    read = prompt_tokens({**body, "messages": messages}) + further_tokens(body)
    return Added(read, max(lengths, default=None), thinks(body))


def tier_of(expert: Expert, asked: str | None) -> str | None:
    """The service tier of a call: what the request asks for, or else the expert's preset."""
    if asked is not None or expert.preset is None:
        return asked
    tier = expert.preset["body"].get(TIER)
    return tier if isinstance(tier, str) else None


def with_preset(call: Call) -> Call:
    """The call as its expert is to be asked; what the request sets itself is left alone."""
    preset = call.expert.preset
    if preset is None:
        return call
    return replace(call, body=completed(call.body, preset), native=_native(call.native, preset))


def _native(native: Native | None, preset: Mapping[str, Any]) -> Native | None:
    """Return the original request's remaining parts: presets apply to chat completions."""
    if native is None or (rich := native.rich) is None:
        return None
    return replace(native, protocol="", rich=lambda: completed(rich(), preset))


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


def thinks(body: Mapping[str, Any]) -> bool:
    """Whether reasoning is enabled by the fields of OpenAI, OpenRouter, Anthropic or vLLM's chat
    templates.
    """
    thinking, template = body.get("thinking"), body.get("chat_template_kwargs")
    return (
        body.get("reasoning_effort") not in EFFORTLESS
        or bool(body.get("reasoning"))
        or (isinstance(thinking, Mapping) and thinking.get("type") == "enabled")
        or (isinstance(template, Mapping) and bool(template.get("enable_thinking")))
    )


def _after_system(messages: Sequence[Json], system: str) -> list[Json]:
    """Merge the system messages into one, the preset's first: many chat templates refuse a
    second.
    """
    first, *rest = messages
    if first["role"] not in ("system", "developer"):
        return [{"role": "system", "content": system}, *messages]
    return [{**first, "content": _wrapped(first.get("content"), f"{system}\n\n", "")}, *rest]


def _in_template(messages: Sequence[Json], template: str) -> list[Json]:
    """Insert the user's last message into the template."""
    before, _, after = template.partition(PROMPT)
    changed = list(messages)
    for at in reversed(range(len(changed))):
        if changed[at]["role"] == "user":
            content = _wrapped(changed[at].get("content"), before, after)
            changed[at] = {**changed[at], "content": content}
            break
    return changed


def _wrapped(content: Any, before: str, after: str) -> Any:
    """Wrap text around a message's content, around all of its parts if there are several."""
    if not isinstance(content, list):
        return f"{before}{content or ''}{after}"
    start = [{"type": "text", "text": before}] if before else []
    return [*start, *content, *([{"type": "text", "text": after}] if after else [])]
