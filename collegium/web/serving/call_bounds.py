"""Upper bounds of a call's usage, and the `max_tokens` that enforces them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from collegium.experts.clients.counting import choices_of, further_tokens, unknown_tokens
from collegium.experts.clients.endpoints import RESULTS
from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call
from collegium.experts.clients.usage import Tokens as TokenCounts
from collegium.experts.fitting import USEFUL
from collegium.experts.presets import LENGTHS, tier_of, with_preset
from collegium.experts.pricing import price_of, tier_is_priced
from collegium.registry.budgets.counters import MILLION
from collegium.registry.budgets.limits import MILLI, NANO
from collegium.registry.capabilities import knows_window
from collegium.registry.expert import Expert
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.tokens import REASONING, Tokens, prior_of

GENEROUS = 4.0
"""How many times the 98th percentile of answer lengths is allowed if the request sets no limit: no
answer was longer in 66,000 recorded ones.
"""
LEAST_WISH = 4096
"""The tokens that are wanted without a limit in the request where nothing is short: answers may
have been short so far, and the next one may be an essay. Hardly any model refuses so many.
"""
USUAL_MS = 30.0
"""Assumed milliseconds per token until one of the expert's calls has been timed."""
PLAIN: tuple[tuple[str, ...], ...] = ((),)
READ = (
    *PLAIN,
    ("cache_write",),
    ("cache_write", "cache_write_1h"),
    ("audio_input",),
    ("image_input",),
)
WRITTEN = (*PLAIN, ("reasoning",), ("audio_output",), ("image_output",))
"""Kinds of tokens that may have a price of their own."""
FOREIGN_LENGTH = "max_output_tokens"
"""The limit's name in the Responses API. Chat servers may read it in a chat, or ignore it."""
CONVERSATIONS = ("", "messages", "responses")
"""Protocols whose requests can be converted to a chat; presets support none of them."""
TEXTS = ("input", "prompt", "query", "documents")
"""Fields of requests without a conversation that count as the prompt."""


@dataclass(frozen=True)
class Bound:
    """The upper bound of a call: a fixed part, and an amount per million output tokens of each
    choice.
    """

    usd: int | None
    """Nano-dollars; None if a relevant price is unknown."""
    usd_per_million: int
    tokens: int
    choices: int
    joules_per_million: int
    """Millijoules: a forecast by the expert's speed so far, not a bound."""
    wish: int
    """Tokens of a choice that are wanted, or that hardly any answer exceeds."""
    usual: int
    """Output tokens that nearly all answers stay within, or the limit that the request sets."""
    explicit: bool
    """Whether the request, or the expert's preset, names the wish itself."""


class CallBounds:
    """Bounds by what is known of experts' prices, prompts, answers and speed."""

    def __init__(self, lengths: Tokens, speeds: Speeds) -> None:
        self._lengths = lengths
        self._speeds = speeds

    def of(self, expert: Expert, query: Query, prompt: int, native: Native | None) -> Bound:
        """Return the bound of a call whose prompt has this many tokens by our count."""
        _, read = self._lengths.prompt(expert, max(prompt, 1))
        tier = tier_of(expert, query.service_tier)
        base = _reading(expert, read, tier)
        silent = native is not None and native.protocol in RESULTS
        allowed = None if silent else self._lengths.allowed(expert, query)
        choices = max(query.choices, _native_choices(native))
        usual = 0 if silent else allowed or self._usual(expert, query, read)
        energy = self._speeds.energy_j(expert, self._speeds.ms_per_token(expert.name, USUAL_MS))
        return Bound(
            usd=base,
            usd_per_million=choices * _writing(expert, read, tier),
            tokens=read,
            choices=choices,
            joules_per_million=choices * math.ceil(MILLI * MILLION * (energy or 0.0)),
            wish=usual if silent or allowed else self._wish(expert, usual, read),
            usual=usual,
            explicit=silent or allowed is not None,
        )

    def _usual(self, expert: Expert, query: Query, read: int) -> int:
        """Tokens that 98 % of answers stay within."""
        return self._room(expert, self._lengths.forecast(expert, query.application).most, read)

    def _wish(self, expert: Expert, usual: int, read: int) -> int:
        """Tokens that hardly any answer exceeds, or more, as far as a known context has room."""
        least = LEAST_WISH
        if knows_window(expert):
            least = min(least, expert.context_window - read)
        return self._room(expert, max(GENEROUS * usual, least), read)

    @staticmethod
    def _room(expert: Expert, tokens: float, read: int) -> int:
        """Limit the tokens to the context window, if that is known, but to no useless number."""
        room = math.inf if expert.engine is None else expert.context_window - read
        return max(math.ceil(min(tokens, max(room, USEFUL))), 1)


def beside(call: Call) -> int:
    """About the tokens of what a call passes on beside what counts as its prompt."""
    further, native = further_tokens(call.body), call.native
    if native is None or native.protocol in CONVERSATIONS:
        return further  # a conversation: the body is the same in other words
    return max(further, unknown_tokens(native.body, TEXTS))


def limited(call: Call, tokens: int) -> Call:
    """Return the call with a limit on its output tokens, whichever protocol it uses."""
    body = _limited(call.body, tokens, call.expert.model)
    return replace(call, body=body, native=_native(call.native, tokens, call.expert.model))


def most_written(call: Call) -> int:
    """Return the output tokens of all choices together; 0 if the call doesn't limit them."""
    body = with_preset(call).body
    named = [body[name] for name in LENGTHS if body.get(name)]
    choices = max(choices_of(body), _native_choices(call.native))
    return choices * max(named, default=0)


def _limited(body: Mapping[str, Any], tokens: int, model: str) -> Json:
    given = [name for name in LENGTHS if body.get(name)]
    if not given:  # reasoning models of OpenAI refuse `max_tokens`, older servers the other name
        given = ["max_completion_tokens" if prior_of(model) is REASONING else "max_tokens"]
    if FOREIGN_LENGTH in body:
        body = {**body, FOREIGN_LENGTH: tokens}
    return {**body, **{name: min(body.get(name) or tokens, tokens) for name in given}}


def _native(native: Native | None, tokens: int, model: str) -> Native | None:
    if native is None:
        return None
    body, rich = native.body, native.rich
    if native.protocol == "responses":
        own = {"max_output_tokens": min(body.get("max_output_tokens") or tokens, tokens)}
    else:
        own = {"max_tokens": min(body.get("max_tokens") or tokens, tokens)}
    limited_rich = None if rich is None else lambda: _limited(rich(), tokens, model)
    return replace(native, body={**body, **own}, rich=limited_rich)


def _reading(expert: Expert, read: int, tier: str | None) -> int | None:
    """Nano-dollars for a prompt whose tokens may all be of the dearest kind."""
    if not tier_is_priced(expert, tier):
        return None
    kinds = READ if expert.prices else PLAIN
    costs = [price_of(expert, TokenCounts(read, 0, **dict.fromkeys(k, read)), tier) for k in kinds]
    known = [cost for cost in costs if cost is not None]
    return math.ceil(NANO * max(known)) if len(known) == len(costs) else None


def _writing(expert: Expert, read: int, tier: str | None) -> int:
    """Nano-dollars for a million tokens that may all be of the dearest kind."""
    kinds = WRITTEN if expert.prices else PLAIN
    each = [TokenCounts(read, MILLION, **dict.fromkeys(kind, MILLION)) for kind in kinds]
    dearest = max(price_of(expert, tokens, tier) or 0.0 for tokens in each)
    return math.ceil(NANO * (dearest - (price_of(expert, TokenCounts(read, 0), tier) or 0.0)))


def _native_choices(native: Native | None) -> int:
    """Choices that a text completion is billed for, which may be more than it returns."""
    return 1 if native is None else choices_of(native.body)
