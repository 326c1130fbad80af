"""Make each mode from a request's options."""

from __future__ import annotations

from collections.abc import Callable

from collegium.experts.aggregation.base import Mode
from collegium.experts.aggregation.best_of_n import BestOfN
from collegium.experts.aggregation.cascade import Cascade
from collegium.experts.aggregation.diverse_prompts import DiversePrompts
from collegium.experts.aggregation.first import First
from collegium.experts.aggregation.grouping import Ballots
from collegium.experts.aggregation.moa import MixtureOfAgents
from collegium.experts.aggregation.nominal_group import NominalGroup
from collegium.experts.aggregation.options import ModeName, Options, ScorerName
from collegium.experts.aggregation.scoring import ByJudge, ByLogprob, BySelf, Scorer
from collegium.experts.aggregation.self_moa import SelfMixtureOfAgents
from collegium.experts.aggregation.single import Single
from collegium.experts.aggregation.vote import Vote

SCORERS: dict[ScorerName, Callable[[], Scorer]] = {
    "logprob": ByLogprob,
    "self": BySelf,
    "judge": ByJudge,
}


def _vote(options: Options) -> Vote:
    return Vote(Ballots(options.weights, options.similarity))


def _cascade(options: Options) -> Cascade:
    ballots = Ballots("log_odds", options.similarity)
    return Cascade(ballots, options.confidence, options.threshold)


MAKERS: dict[ModeName, Callable[[Options], Mode]] = {
    "single": lambda _: Single(),
    "first": lambda _: First(),
    "vote": _vote,
    "best_of_n": lambda o: BestOfN(SCORERS[o.by]()),
    "moa": lambda o: MixtureOfAgents(o.layers),
    "self_moa": lambda o: SelfMixtureOfAgents(o.window),
    "cascade": _cascade,
    "nominal_group": lambda _: NominalGroup(),
    "diverse_prompts": lambda o: DiversePrompts(_vote(o)),
}
