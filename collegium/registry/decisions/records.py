"""Records of the log: the decision, its outcome, feedback, and the exchange."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from collegium.registry.clock import utc_now

Status = Literal["ok", "error", "cancelled"]
Verdict = Literal["good_fit", "underpowered", "overprovisioned", "failed"]
Source = Literal["rating", "preferred", "regenerate", "ask_another"]
"""Explicit feedback, or implied by turning to another answer."""
VERDICT_SCORES: Mapping[Verdict, float] = {
    "good_fit": 1.0,
    "overprovisioned": 1.0,  # right, if too dear: the price is for the trade-off to weigh
    "underpowered": 0.0,
    "failed": 0.0,
}
"""The quality score that each verdict implies."""


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision; `prompt` is None if the settings say not to record queries."""

    id: str
    created_at: datetime
    requested_model: str
    expert: str
    policy: str
    confidence: float
    reason: str
    prompt: str | None = None
    session: str | None = None
    forecasts: Sequence[Any] = ()
    """Whatever msgspec writes as JSON; read back they are mappings."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    propensity: float = 1.0
    """The odds that the expert had; off-policy estimates weigh by it."""
    application: str | None = None
    """The key of the application that the request was found to belong to."""
    owner: str = ""
    """The name of the key that sent the request; "" for the operator, or if no keys are configured.
    """
    router: str | None = None
    """The version of the router that decided; None for one loaded from a folder."""
    shadow: Mapping[str, Any] | None = None
    """What a router in shadow mode would have decided."""
    team: str | None = None
    """The team of the key that asked."""
    reserved_usd: int | None = None
    """The most that the answer may cost, nano-dollars; None if no budget counts it."""
    reserved_tokens: int | None = None
    reserved_joules: int | None = None
    """Millijoules."""


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """The outcome of a decision; None for what was not measured."""

    decision_id: str
    status: Status
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    waited_ms: float | None = None
    """Time in the expert's queue, which is part of the latency."""
    energy_j: float | None = None
    expert: str | None = None
    """The expert that answered, if that may differ from the chosen one."""
    tried: Sequence[Mapping[str, Any]] | None = None
    """Experts that were tried in vain, and why they failed."""
    calls: Sequence[Mapping[str, Any]] | None = None
    """Each call of a panel; None for a single answer."""
    cached_tokens: int | None = None
    """Prompt tokens read from the provider's cache."""
    cache_write_tokens: int | None = None
    """Prompt tokens written to the provider's cache."""
    reasoning_tokens: int | None = None
    """Output tokens spent on reasoning."""
    estimated: bool | None = None
    """Whether tokens were counted here, because the upstream did not tell them all."""
    attempts_usd: float | None = None
    """The part of the cost that failed attempts were billed for."""
    cached_from: str | None = None
    """The decision whose answer was given again from the response cache; no expert was asked."""
    saved_usd: float | None = None
    """What that answer had cost."""
    finished_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """A person's opinion of a decision; a verdict implies its score."""

    id: str
    decision_id: str
    verdict: Verdict | None = None
    comment: str | None = None
    created_at: datetime = field(default_factory=utc_now)
    preferred: str | None = None
    """The expert whose answer the person liked better."""
    owner: str = ""
    """The name of the key that sent the feedback."""
    source: Source = "rating"
    score: float | None = None
    """The quality of the answer, 0 to 1; None if the person only turned to another answer."""

    def __post_init__(self) -> None:
        """Fill in the score of a verdict."""
        if self.score is None and self.verdict is not None:
            object.__setattr__(self, "score", VERDICT_SCORES.get(self.verdict))


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
    """A request and its answer in full, as two JSON texts."""

    decision_id: str
    owner: str
    application: str | None
    session: str | None
    bytes: int
    request: str
    answer: str | None
    """None if there was no answer."""
    created_at: datetime = field(default_factory=utc_now)


def quality_of(forecasts: Iterable[Mapping[str, Any]], expert: str) -> float | None:
    """Return what was forecast of an expert's quality, before alarms lowered it."""
    for forecast in forecasts:
        if forecast["expert"] == expert and forecast["quality"] is not None:
            return float(forecast["quality"]) + float(forecast.get("lowered") or 0.0)
    return None


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision with all that is known of it by now."""

    decision: DecisionRecord
    outcome: OutcomeRecord | None
    feedback: tuple[FeedbackRecord, ...]

    @property
    def answered_by(self) -> str:
        """The expert whose answer this is: the chosen one, unless another took its place."""
        return (self.outcome and self.outcome.expert) or self.decision.expert

    @property
    def ended_at(self) -> datetime:
        """When the answer ended; if it has not, when the decision was made."""
        return self.decision.created_at if self.outcome is None else self.outcome.finished_at

    def quality_of(self, expert: str) -> float | None:
        """Return the deciding router's forecast for an expert, made before any rating."""
        return quality_of(self.decision.forecasts, expert)

    @property
    def scores(self) -> tuple[float, ...]:
        """The scores that people gave to the answer."""
        return tuple(each.score for each in self.feedback if each.score is not None)


@dataclass(frozen=True, slots=True)
class LoggedExchange:
    """A decision with everything that can be learnt from; texts that were not recorded are None."""

    decision: DecisionRecord
    outcome: OutcomeRecord | None
    feedback: tuple[FeedbackRecord, ...]
    request: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
