"""What a caller may say about a mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from collegium.experts.aggregation.base import Similarity
from collegium.experts.aggregation.confidence import Confidence

THRESHOLD = 0.8
"""A cascade stops where its leading answer is so likely to be right."""
WINDOW = 6
"""Answers that Self-MoA shows at a time, as in the paper."""
ModeName = Literal[
    "single",
    "first",
    "vote",
    "best_of_n",
    "moa",
    "self_moa",
    "cascade",
    "nominal_group",
    "diverse_prompts",
]
ScorerName = Literal["logprob", "self", "judge"]
Weighting = Literal["equal", "forecast", "log_odds"]


@dataclass(frozen=True)
class Options:
    """What a caller may say about the mode itself."""

    weights: Weighting = "log_odds"
    by: ScorerName = "logprob"
    threshold: float = THRESHOLD
    layers: int = 1
    window: int = WINDOW
    similarity: Similarity | None = None
    confidence: Confidence = field(default_factory=Confidence)
