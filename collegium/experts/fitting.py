"""Fit a request to its expert: reduce `max_tokens`, and drop options that it doesn't support.

`max_tokens` is an upper bound, and so are the effort and the permission to call tools in parallel:
an answer that is shorter, or does without them, still satisfies the request. Changes are reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.events import Json
from collegium.experts.clients.reply import Call
from collegium.experts.presets import LENGTHS
from collegium.registry.capabilities import knows_window, most_output, takes
from collegium.registry.expert import Expert

ROUGH = 1.5
"""The factor by which a prompt may exceed its estimated tokens (`clients/counting.py`)."""
USEFUL = 128
"""Tokens: `max_tokens` is not lowered further than this. The prompt would be paid for an answer
that is cut off; the expert knows by its own tokenizer whether there is room, and refuses if not."""
WISHES: Mapping[str, str] = {
    "reasoning_effort": "reasoning",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "parallel_tool_calls": "parallel_tools",
}
"""Fields that can be left out for an expert without the capability."""


@dataclass(frozen=True)
class Fitted:
    """A call as it is sent to its expert, and what was changed, field by field in words."""

    call: Call
    adjusted: tuple[str, ...] = ()


def fitted(call: Call) -> Fitted:
    """Return the call without the options that its expert is known not to support."""
    body, expert = call.body, call.expert
    dropped = [
        name
        for name, ability in WISHES.items()
        if body.get(name) and takes(expert, ability) is False
    ]
    shorter = dict(_shorter(body, expert))
    if not dropped and not shorter:
        return Fitted(call)
    changed: Json = {k: v for k, v in body.items() if k not in dropped} | shorter
    told = [f"{name}={value}" for name, value in shorter.items()]
    return Fitted(replace(call, body=changed), (*told, *(f"{name} dropped" for name in dropped)))


def _shorter(body: Mapping[str, Any], expert: Expert) -> Iterator[tuple[str, int]]:
    asked = {name: n for name in LENGTHS if isinstance(n := body.get(name), int)}
    if not asked:
        return
    room = _room(body, expert, max(asked.values()))
    for name, length in asked.items():
        if room is not None and length > room:
            yield name, room


def _room(body: Mapping[str, Any], expert: Expert, wanted: int) -> int | None:
    """Return the maximum length of an answer, in tokens; None if no limit is known."""
    most = most_output(expert)
    if not knows_window(expert):
        return most
    window = expert.context_window
    prompt = prompt_tokens(body, model=expert.model)
    if prompt + wanted <= window:
        return most
    # Half of what is left where the estimate may be too low.
    left = max(window - round(ROUGH * prompt), (window - prompt) // 2)
    if left < USEFUL:
        return most
    return left if most is None else min(left, most)
