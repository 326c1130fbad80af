"""Vote: the most frequent answer wins (self-consistency, Wang et al., arXiv 2203.11171).

Votes are weighed by calibrated forecasts; as soon as nothing can change, the rest is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any

from collegium.experts.aggregation.base import Ask, MemberAnswer, Panel
from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.delivering import delivered
from collegium.experts.aggregation.events import Event
from collegium.experts.aggregation.fan_out import FanOut
from collegium.experts.aggregation.grouping import Ballots
from collegium.experts.aggregation.options import Options
from collegium.experts.aggregation.seating import seated


class Vote:
    """The heaviest group's first member speaks for it."""

    name = "vote"
    verbatim = True

    def __init__(self, ballots: Ballots) -> None:
        self._ballots = ballots

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask all until the vote is decided."""
        calls = seated(panel.members, body)
        members = {call.seat: member for call, member in calls}

        def decided(replies: Mapping[int, MemberAnswer], waiting: Collection[int]) -> bool:
            to_come = {seat: members[seat] for seat in waiting if seat not in replies}
            enough = len(replies) >= panel.quorum
            return enough and self._ballots.decided(list(replies.values()), to_come)

        fan = FanOut(ask, panel)
        async with aclosing(fan.events(calls, decided)) as events:
            async for event in events:
                yield event
        fan.require_quorum()
        # Encoders and checks of code take their time.
        groups = await asyncio.to_thread(self._ballots.count, fan.replies)
        winner = next(r for r in fan.replies if r.seat == groups[0].seats[0])
        how = f"{len(groups[0].seats)} of {len(fan.replies)} agree"
        for event in delivered(winner, how, groups=groups):
            yield event


def voting(options: Options) -> Vote:
    """A vote with a request's options."""
    return Vote(Ballots(options.weights, options.similarity))


KIND = ModeKind("Several experts vote with their answers", voting)
