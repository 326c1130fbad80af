"""The values of a decision: what was asked, what is forecast, what was chosen and why."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from collegium.router.applications.signals import Signals

PolicyName = Literal["quality", "waiting", "prior", "named", "session", "bulk", "online", "panel"]


@dataclass(frozen=True)
class Limits:
    """What the caller allows; None is no limit.

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


@dataclass(frozen=True)
class Query:
    """What the router needs to know of a request."""

    text: str
    requested_model: str = "auto"
    limits: Limits = field(default_factory=Limits)
    max_tokens: int | None = None
    prompt_tokens: int | None = None
    """Of the whole conversation, about; None counts `text` alone."""
    session_expert: str | None = None
    """The expert that answered earlier in this conversation."""
    signals: Signals = field(default_factory=Signals)
    """What the request shows of its application."""
    application: str | None = None
    """The application that these signals were found to belong to; None where none was found."""
    price: float = 0.0
    """What a dollar is worth in P(correct), where the application's budget binds."""
    lowered: Mapping[str, float] = field(default_factory=dict)
    """By how much experts' forecasts are lowered, by name: alarms of them are open."""
    choices: int = 1
    """How many answers the request wants (`n`); each has its own `max_tokens`."""


class Forecast(msgspec.Struct, frozen=True):
    """What is expected of one expert on one query; None where nothing was measured.

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
    """How much of the latency is waiting until its engine is loaded, where engines take turns."""
    most_usd: float | None = None
    """What 98 % of answers stay within; at least two thirds of what `max_tokens` would cost."""
    most_tokens: int = 0
    """What 98 % of answers stay within."""
    deviation: float | None = None
    """The standard deviation of what is believed of the quality."""
    lowered: float = 0.0
    """By how much the quality is lowered because an alarm of the expert is open."""

    @property
    def answer_ms(self) -> float:
        """What the answer itself takes."""
        return self.latency_ms - self.wait_ms


@dataclass(frozen=True)
class Decision:
    """Who answers, why, and every candidate's forecast, best first."""

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
    """The odds that this expert had: below 1 where online learning drew among several."""
    application: str | None = None
    """The application that the request was found to belong to."""
    tolerated: float = 0.0
    """How much P(correct) below the best forecast was given up for a lower price."""
    price: float = 0.0
    """What a dollar was worth in P(correct)."""
    incumbent: bool = False
    """Whether the best single expert answers because too few marks support a trade-off."""
    router: str = ""
    """The version of the router that decided."""
    id: str = field(default_factory=lambda: f"dec_{secrets.token_hex(12)}")

    @property
    def forecast(self) -> Forecast:
        """The chosen expert's forecast."""
        return next(f for f in self.forecasts if f.expert == self.expert)
