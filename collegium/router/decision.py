"""The values of a decision: the query, the limits, the forecasts, the choice and its reason."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from collegium.router.applications.signals import Signals
from collegium.router.needs import NOTHING, Needs
from collegium.router.rules import NO_RULES, Rules
from collegium.router.stuck import STUCK

PolicyName = Literal["quality", "waiting", "prior", "named", "session", "bulk", "online", "panel"]


@dataclass(frozen=True)
class Limits:
    """The caller's limits; None for no limit.

    `tradeoff` 0 is best quality, 10 is cheapest, None is as the requested model says.
    `wait_penalty` is the P(correct) that a minute's wait for an engine is worth, None as the
    service is set.
    """

    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    max_energy_j: float | None = None
    min_quality: float | None = None
    tradeoff: float | None = None
    wait_penalty: float | None = None
    experts_allow: tuple[str, ...] | None = None
    experts_deny: tuple[str, ...] = ()
    require: Rules = NO_RULES


@dataclass(frozen=True)
class History:
    """What is known of a conversation besides its text."""

    cached_tokens: int = 0
    """About how many tokens of the prompt the conversation's expert has in its cache."""
    in_tool_loop: bool = False
    """Whether the newest message brings a tool's result."""
    signs: Mapping[str, int] = field(default_factory=dict)
    """The number of signs that an expert is stuck in this conversation, by name."""
    sign: str = ""
    """The newest one, in words."""

    def stuck(self, expert: str | None) -> bool:
        """Whether an expert is stuck and has to be left."""
        return self.signs.get(expert or "", 0) >= STUCK


NO_HISTORY = History()


@dataclass(frozen=True)
class Query:
    """What the router needs to know of a request."""

    text: str
    requested_model: str = "auto"
    limits: Limits = field(default_factory=Limits)
    max_tokens: int | None = None
    prompt_tokens: int | None = None
    """Estimated tokens of the whole conversation; None counts only `text`."""
    session_expert: str | None = None
    """The expert that answered earlier in this conversation."""
    history: History = NO_HISTORY
    signals: Signals = field(default_factory=Signals)
    """The signals from which the application was recognised."""
    application: str | None = None
    """The recognised application; None if there is none."""
    price: float = 0.0
    """The value of a dollar in P(correct), if the application's budget binds."""
    lowered: Mapping[str, float] = field(default_factory=dict)
    """Reductions of experts' forecasts by open alarms, by name."""
    choices: int = 1
    """The number of requested answers (`n`); each has its own `max_tokens`."""
    needs: Needs = NOTHING
    """The capabilities that the request needs."""
    lacking: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Capabilities that experts recently refused, by name."""
    wordless: bool = False
    """Whether the message has no text, so that `text` says nothing of what is asked."""
    service_tier: str | None = None
    """The requested service tier of the provider, which may have its own prices; None if the
    request names none.
    """


class Forecast(msgspec.Struct, frozen=True):
    """The forecast for one expert and query; None for what was not measured.

    A request makes one for every expert: a frozen dataclass takes 1.4 µs, this 0.12.
    """

    expert: str
    quality: float | None
    cost_usd: float | None
    latency_ms: float
    energy_j: float | None
    output_tokens: int
    feasible: bool = True
    note: str = ""
    wait_ms: float = 0.0
    """The part of the latency spent waiting until the engine is loaded, if engines take turns."""
    most_usd: float | None = None
    """A bound for 98 % of answers; at least two thirds of the cost at `max_tokens`."""
    most_tokens: int = 0
    """A bound for 98 % of answers."""
    deviation: float | None = None
    """The standard deviation of what is believed of the quality."""
    lowered: float = 0.0
    """The reduction of the quality by an open alarm."""
    cached_tokens: int = 0
    """Tokens of the prompt that are expected in the expert's cache; the cost counts them so."""
    cache_usd: float = 0.0
    """The cost of reading the cached tokens again elsewhere."""

    @property
    def answer_ms(self) -> float:
        """The duration of the answer alone."""
        return self.latency_ms - self.wait_ms


@dataclass(frozen=True)
class Decision:
    """The chosen expert, the reason, and every candidate's forecast, best first."""

    expert: str
    policy: PolicyName
    confidence: float
    reason: str
    forecasts: tuple[Forecast, ...]
    skills: Mapping[str, float]
    ood_score: float | None
    requested_model: str
    overhead_ms: float = 0.0
    propensity: float = 1.0
    """The probability of this choice: below 1 if online learning drew among several experts."""
    application: str | None = None
    """The application that the request was found to belong to."""
    tolerated: float = 0.0
    """How much P(correct) below the best forecast was given up for a lower price."""
    price: float = 0.0
    """The value of a dollar in P(correct)."""
    incumbent: bool = False
    """Whether the best single expert answers because too few marks support a trade-off."""
    router: str = ""
    """The version of the router that decided."""
    conversation: str = ""
    """Whether and why the conversation's expert stays or changes; "" without one."""
    id: str = field(default_factory=lambda: f"dec_{secrets.token_hex(12)}")

    @property
    def forecast(self) -> Forecast:
        """The chosen expert's forecast."""
        return next(f for f in self.forecasts if f.expert == self.expert)
