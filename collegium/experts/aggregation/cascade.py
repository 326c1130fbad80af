"""Cascade: ask the members one after another, cheapest first, until an answer is sufficiently
certain.

FrugalGPT (arXiv 2305.05176). Answers so far count as votes: two cheap experts that agree may spare
the dear one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from collegium.experts.aggregation.base import Ask, MemberAnswer, Panel
from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.confidence import Confidence
from collegium.experts.aggregation.delivering import delivered
from collegium.experts.aggregation.events import Event, Group
from collegium.experts.aggregation.fan_out import FanOut
from collegium.experts.aggregation.grouping import Ballots, posterior
from collegium.experts.aggregation.options import THRESHOLD, Options
from collegium.experts.aggregation.seating import seated


class Cascade:
    """Stops as soon as the leading answer's chance reaches `threshold`."""

    name = "cascade"
    verbatim = True

    def __init__(
        self, ballots: Ballots, confidence: Confidence, threshold: float = THRESHOLD
    ) -> None:
        self._ballots = ballots
        self._confidence = confidence
        self._threshold = threshold

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask one after another."""
        replies: list[MemberAnswer] = []
        rounds: list[FanOut] = []
        for seat_and_member in seated(panel.members, body, logprobs=self._confidence.tokens != 0):
            rounds.append(FanOut(ask, panel))
            async with aclosing(rounds[-1].events([seat_and_member])) as events:
                async for event in events:
                    yield event
            replies += rounds[-1].replies
            if replies and (await self._leader(replies))[1] >= self._threshold:
                break
        if not replies:
            rounds[0].require_quorum(1)
        best, chance, groups = await self._leader(replies)
        for event in delivered(best, f"{chance:.0%} likely to be right", groups=groups):
            yield event

    async def _leader(
        self, replies: list[MemberAnswer]
    ) -> tuple[MemberAnswer, float, tuple[Group, ...]]:
        """Find the leading answer, in a thread: comparing texts needs an encoder."""
        return await asyncio.to_thread(leader, replies, self._ballots, self._confidence)


def leader(
    replies: Sequence[MemberAnswer], ballots: Ballots, confidence: Confidence
) -> tuple[MemberAnswer, float, tuple[Group, ...]]:
    """The leading answer's first author, the chance that it is right, and all groups."""
    groups = ballots.count([confidence.weighed(reply) for reply in replies])
    best = next(reply for reply in replies if reply.seat == groups[0].seats[0])
    return best, posterior(groups), groups


def _made(options: Options) -> Cascade:
    ballots = Ballots("log_odds", options.similarity)
    return Cascade(ballots, options.confidence, options.threshold)


KIND = ModeKind("Cheap experts first, dearer ones only in doubt", _made)
