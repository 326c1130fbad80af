"""Modes in which an aggregator writes a new answer from the members' answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from collegium.experts.aggregation.base import Ask, MemberAnswer, Panel
from collegium.experts.aggregation.delivering import aggregated
from collegium.experts.aggregation.events import Event
from collegium.experts.aggregation.fan_out import FanOut
from collegium.experts.aggregation.quoting import asked_about, quoted
from collegium.experts.aggregation.seating import room, seated
from collegium.experts.clients.events import Json

COMBINE = (
    "Several assistants have answered the user's last message. Write the best answer yourself: "
    "keep what is right, mend what is wrong, and do not mention the other answers. "
    "Keep to the form that the user asked for."
)


class Synthesis:
    """Members answer, an aggregator writes: the part that the modes below share."""

    name = "synthesis"
    verbatim = False
    rules = COMBINE

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask all members, then the aggregator."""
        fan = FanOut(ask, panel)
        async with aclosing(fan.events(seated(panel.members, body))) as events:
            async for event in events:
                yield event
        fan.require_quorum()
        last = aggregated(
            panel, self.task(panel, body, fan.replies), len(panel.members), ask, fan.replies
        )
        async with aclosing(last) as events:
            async for event in events:
                yield event

    def task(self, panel: Panel, body: Mapping[str, Any], replies: Sequence[MemberAnswer]) -> Json:
        """Return the aggregator's request."""
        aggregator = panel.aggregator or panel.members[0]
        shown = quoted(replies, seed=panel.seed, most_characters=room(aggregator), records=True)
        return asked_about(body, self.rules, shown.text, of_data=shown.rule)
