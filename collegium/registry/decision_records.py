"""What the log holds of one request: the decision, its outcome, feedback, and the exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["ok", "error", "cancelled"]
Verdict = Literal["good_fit", "underpowered", "overprovisioned", "failed"]
Source = Literal["rating", "preferred", "regenerate", "ask_another"]
"""Said in so many words, or shown by turning to another answer."""
VERDICT_SCORES: Mapping[Verdict, float] = {
    "good_fit": 1.0,
    "overprovisioned": 1.0,  # right, if too dear: the price is for the trade-off to weigh
    "underpowered": 0.0,
    "failed": 0.0,
}
"""What each verdict says of the answer's quality."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision; `prompt` is None where the settings say not to keep queries."""

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
    """The name of the key that asked; "" for the operator, or where no keys are set."""
    router: str | None = None
    """The version of the router that decided; None where it came from a folder."""
    shadow: Mapping[str, Any] | None = None
    """What a router that is tried in the shadow would have decided."""


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """What came of a decision; what nobody measured is None."""

    decision_id: str
    status: Status
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    waited_ms: float | None = None
    """In the expert's queue, which is part of the latency."""
    energy_j: float | None = None
    expert: str | None = None
    """Who answered, where that may not be who was chosen."""
    tried: Sequence[Mapping[str, Any]] | None = None
    """Who else was asked, and why that became nothing."""
    calls: Sequence[Mapping[str, Any]] | None = None
    """Each call of a panel; None of a single answer."""
    finished_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """What a person thought of a decision; the score of a verdict is the verdict's."""

    id: str
    decision_id: str
    verdict: Verdict | None = None
    comment: str | None = None
    created_at: datetime = field(default_factory=_now)
    preferred: str | None = None
    """The expert whose answer the person liked better."""
    owner: str = ""
    """The name of the key that said so."""
    source: Source = "rating"
    score: float | None = None
    """How good the answer is, 0 to 1; None where the person only turned to another one."""

    def __post_init__(self) -> None:
        """Fill in the score of a verdict."""
        if self.score is None and self.verdict is not None:
            object.__setattr__(self, "score", VERDICT_SCORES.get(self.verdict))


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
    """What was asked and answered, whole, as two texts of JSON."""

    decision_id: str
    owner: str
    application: str | None
    session: str | None
    bytes: int
    request: str
    answer: str | None
    """None where nothing was answered."""
    created_at: datetime = field(default_factory=_now)


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
    def scores(self) -> tuple[float, ...]:
        """What people said of the answer's quality."""
        return tuple(each.score for each in self.feedback if each.score is not None)


@dataclass(frozen=True, slots=True)
class LoggedExchange:
    """A decision with all that can be learnt from it; texts that were not kept are None."""

    decision: DecisionRecord
    outcome: OutcomeRecord | None
    feedback: tuple[FeedbackRecord, ...]
    request: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
