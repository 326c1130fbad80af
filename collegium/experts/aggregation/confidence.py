"""Estimate P(correct) of an answer once it exists: from the forecast, its tokens and agreement.

FrugalGPT (arXiv 2305.05176) scores an answer after it is given; AutoMix (arXiv 2310.12963) lets its
author check it. Here the forecast is corrected by how sure the tokens were, and answers that agree
strengthen each other as independent votes do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from collegium.experts.aggregation.base import MemberAnswer

UNKNOWN = 0.5


@dataclass(frozen=True)
class Confidence:
    """P(right) = logistic(intercept + forecast * logit(forecast) + tokens * logit(token chance)).

    The default believes the forecast and nothing else; a router's `panels.json` may say otherwise.
    """

    intercept: float = 0.0
    forecast: float = 1.0
    tokens: float = 0.0

    def of(self, forecast: float | None, logprob: float | None) -> float:
        """The chance that one answer is right."""
        known = UNKNOWN if forecast is None else forecast
        score = self.intercept + self.forecast * _logit(known)
        if logprob is not None:
            score += self.tokens * _logit(math.exp(logprob))
        return 1 / (1 + math.exp(-score))

    def weighed(self, reply: MemberAnswer) -> MemberAnswer:
        """The reply with its own chance in place of its author's forecast."""
        chance = self.of(reply.member.forecast, reply.logprob)
        return replace(reply, member=replace(reply.member, forecast=chance))


def _logit(p: float) -> float:
    bounded = min(max(p, 0.005), 0.995)
    return math.log(bounded / (1 - bounded))
