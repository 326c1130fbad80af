"""All modes by name: what they are, and how each is made from a request's options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from collegium.experts.aggregation.base import Mode, Similarity
from collegium.experts.aggregation.best_of_n import BestOfN
from collegium.experts.aggregation.cascade import THRESHOLD, Cascade
from collegium.experts.aggregation.confidence import Confidence
from collegium.experts.aggregation.diverse_prompts import DiversePrompts
from collegium.experts.aggregation.first import First
from collegium.experts.aggregation.grouping import Ballots, Weighting
from collegium.experts.aggregation.moa import MixtureOfAgents
from collegium.experts.aggregation.nominal_group import NominalGroup
from collegium.experts.aggregation.scoring import ByJudge, ByLogprob, BySelf, Scorer
from collegium.experts.aggregation.self_moa import WINDOW, SelfMixtureOfAgents
from collegium.experts.aggregation.single import Single
from collegium.experts.aggregation.vote import Vote

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
SCORERS: dict[ScorerName, Callable[[], Scorer]] = {
    "logprob": ByLogprob,
    "self": BySelf,
    "judge": ByJudge,
}


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


@dataclass(frozen=True)
class Described:
    """A mode for people, and how to make it."""

    text: str
    make: Callable[[Options], Mode]
    seats: int = 3
    """Members unless the caller says otherwise."""
    one_expert: bool = False
    """Whether the members are samples of one expert."""
    combines: bool = False
    """Whether another call, the aggregator's, writes the answer."""


def _vote(options: Options) -> Vote:
    return Vote(Ballots(options.weights, options.similarity))


def _cascade(options: Options) -> Cascade:
    ballots = Ballots("log_odds", options.similarity)
    return Cascade(ballots, options.confidence, options.threshold)


MODES: dict[ModeName, Described] = {
    "single": Described("One expert answers alone", lambda _: Single(), seats=1),
    "first": Described("Several experts race; the fastest answers", lambda _: First(), seats=2),
    "vote": Described("Several experts vote with their answers", _vote),
    "best_of_n": Described(
        "Several answers, the best of which is given", lambda o: BestOfN(SCORERS[o.by]())
    ),
    "moa": Described(
        "Several experts answer, an aggregator writes the answer from theirs",
        lambda o: MixtureOfAgents(o.layers),
        combines=True,
    ),
    "self_moa": Described(
        "Several samples of the best expert, put together by itself",
        lambda o: SelfMixtureOfAgents(o.window),
        one_expert=True,
        combines=True,
    ),
    "cascade": Described("Cheap experts first, dearer ones only in doubt", _cascade),
    "nominal_group": Described(
        "Experts answer apart; agreed, disputed and single points are weighed",
        lambda _: NominalGroup(),
        combines=True,
    ),
    "diverse_prompts": Described(
        "The best expert, asked in several ways, votes with itself",
        lambda o: DiversePrompts(_vote(o)),
        one_expert=True,
    ),
}
