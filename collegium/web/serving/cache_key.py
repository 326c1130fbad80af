"""The key of a request in the response cache: a hash of everything that can affect the answer.

The order of fields in the request and in its messages has no meaning and is not part of the key.
Inside tools and schemas it is, because models see them in that order.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from collegium.experts.clients.endpoints import ENDPOINTS
from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.registry.capabilities import takes
from collegium.registry.expert import RUN_HERE, Expert
from collegium.web.serving.decide import Decided, application_of
from collegium.web.serving.limits_in_force import LimitsInForce, names_of
from collegium.web.serving.prepare import Prepared

LONG = 10_000
"""Prompts of at least this many tokens are hashed outside the event loop."""
LABELS = frozenset({
    "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store",
})  # fmt: skip
"""Fields that label a request for its provider and that no model sees."""
MADE_OF = ("name", "kind", "model", "engine", "base_url", "adapter", "version")
"""The fields of an expert on which its answers depend; its version counts every change."""
ASKED_IN_A_CHAT = ("openai", *RUN_HERE)
"""Kinds of expert that are called by chat if they don't support the caller's protocol."""


class Keys:
    """Computes the keys of decided requests; `shared` keys are the same for all callers."""

    def __init__(self, mode: Literal["caller", "shared"], limits: LimitsInForce) -> None:
        self._mode = mode
        self._limits = limits

    def may_be_kept(self, decided: Decided) -> bool:
        """Whether the request may be cached: its sampling is deterministic, or it asks for the
        cache."""
        request = decided.request
        if decided.by_panel or request.cache is False or not request.is_conversation:
            return False
        return request.cache is True or is_deterministic(request, _expert(decided))

    async def of(self, decided: Decided) -> str:
        """Return the key of a request for its chosen expert: 64 hexadecimal digits."""
        if (decided.request.query.prompt_tokens or 0) > LONG:
            return await asyncio.to_thread(self._of, decided)
        return self._of(decided)

    def _of(self, decided: Decided) -> str:
        request, expert = decided.request, _expert(decided)
        owner = request.owner if self._mode == "caller" else None
        made_of = [getattr(expert, name) for name in MADE_OF]
        parts = [owner, made_of, self._cap(decided), *_sent(request, expert)]
        text = json.dumps(parts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _cap(self, decided: Decided) -> int | None:
        """Return the maximum length of an answer under the caller's limits."""
        limits = self._limits.of(names_of(decided.request.caller, application_of(decided)))
        return min((x.amount for x in limits if x.metric == "max_tokens"), default=None)


def is_deterministic(request: Prepared, expert: Expert) -> bool:
    """Whether its sampling is deterministic: temperature 0, or a seed."""
    defaults = {} if expert.preset is None else expert.preset["body"]
    temperature, seed = (
        defaults.get(name) if (given := request.body.get(name)) is None else given
        for name in ("temperature", "seed")
    )
    return temperature == 0 or seed is not None


def _expert(decided: Decided) -> Expert:
    return decided.panel.members[0].expert


def _sent(request: Prepared, expert: Expert) -> list[Any]:
    """Return what the expert is sent; for calls by chat this is the same in all protocols."""
    native = request.native
    if native is None or not _may_speak(expert, native):
        return [_in_order(request.body)]
    body = native.body if native.full is None else native.full
    headers = sorted(native.headers.items())
    return [native.protocol, request.stream, headers, _in_order(body), _in_order(request.body)]


def _may_speak(expert: Expert, native: Native) -> bool:
    """Whether the expert may get the request unchanged; its events then depend on the protocol."""
    if expert.kind not in ASKED_IN_A_CHAT or native.protocol in ENDPOINTS:
        return True
    return bool(takes(expert, native.protocol))


def _in_order(body: Mapping[str, Any]) -> Json:
    """Sort the fields of a body and of its messages by name."""
    ordered = {name: body[name] for name in sorted(body) if name not in LABELS}
    messages = ordered.get("messages")
    if isinstance(messages, list):
        ordered["messages"] = [_by_name(message) for message in messages]
    return ordered


def _by_name(message: Any) -> Any:
    return dict(sorted(message.items())) if isinstance(message, dict) else message
