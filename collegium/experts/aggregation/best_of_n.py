"""Best of n: the best of several answers (compared by Snell et al., arXiv 2408.03314)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from collegium.experts.aggregation.base import Ask, Panel
from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.delivering import delivered
from collegium.experts.aggregation.events import Event
from collegium.experts.aggregation.fan_out import FanOut
from collegium.experts.aggregation.options import ScorerName
from collegium.experts.aggregation.scoring import Answers, ByJudge, ByLogprob, BySelf, Scorer
from collegium.experts.aggregation.seating import seated


class BestOfN:
    """The answer with the highest score; without scores the likeliest member's."""

    name = "best_of_n"
    verbatim = True

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask all, score all."""
        fan = FanOut(ask, panel)
        calls = seated(panel.members, body, logprobs=self._scorer.logprobs)
        async with aclosing(fan.events(calls)) as events:
            async for event in events:
                yield event
        fan.require_quorum()
        found = Answers(fan.replies, free_seat=len(calls))
        async with aclosing(self._scorer.run(panel, body, ask, found)) as events:
            async for event in events:
                yield event
        best = max(fan.replies, key=lambda r: (found.scores.get(r.seat, -1.0), -r.seat))
        how = self._scorer.how if found.scores else "nothing could be scored: the likeliest member"
        for event in delivered(best, how, scores=found.scores):
            yield event


SCORERS: dict[ScorerName, Callable[[], Scorer]] = {
    "logprob": ByLogprob,
    "self": BySelf,
    "judge": ByJudge,
}
KIND = ModeKind(
    "Several answers, the best of which is given", lambda options: BestOfN(SCORERS[options.by]())
)
