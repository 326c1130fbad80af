"""Options of a mode that callers may set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from collegium.experts.aggregation.base import Similarity
from collegium.experts.aggregation.confidence import Confidence

THRESHOLD = 0.8
"""A cascade stops once its leading answer has this P(correct)."""
WINDOW = 6
"""Answers that Self-MoA shows at a time, as in the paper."""
ScorerName = Literal["logprob", "self", "judge"]
Weighting = Literal["equal", "forecast", "log_odds"]


@dataclass(frozen=True)
class Options:
    """The options of the mode itself."""

    weights: Weighting = "log_odds"
    by: ScorerName = "logprob"
    threshold: float = THRESHOLD
    layers: int = 1
    window: int = WINDOW
    similarity: Similarity | None = None
    confidence: Confidence = field(default_factory=Confidence)
