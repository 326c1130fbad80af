"""Self-MoA: several samples of the best expert, combined by the same expert.

Li et al., "Rethinking Mixture-of-Agents", arXiv 2502.00674: mixing weaker experts in often costs
more than their diversity brings. Long lists are put together window by window (Self-MoA-Seq).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from collegium.experts.aggregation.base import Ask, MemberAnswer, Panel
from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.delivering import aggregated
from collegium.experts.aggregation.events import Event
from collegium.experts.aggregation.fan_out import FanOut
from collegium.experts.aggregation.options import WINDOW
from collegium.experts.aggregation.seating import seated
from collegium.experts.aggregation.synthesis import Synthesis
from collegium.experts.clients.reply import Call


class SelfMixtureOfAgents(Synthesis):
    """Members are samples of one expert; who sits on the panel is the planner's business."""

    name = "self_moa"

    def __init__(self, window: int = WINDOW) -> None:
        if window < 2:
            raise ValueError("a window must hold at least two answers")
        self._window = window

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Sample, then put window after window together; the last one streams."""
        fan = FanOut(ask, panel)
        async with aclosing(fan.events(seated(panel.members, body))) as events:
            async for event in events:
                yield event
        fan.require_quorum()
        shown, rest = fan.replies[: self._window], fan.replies[self._window :]
        seat = len(panel.members)
        while rest:
            step = FanOut(ask, replace(panel, quorum=0))
            aggregator = panel.aggregator or panel.members[0]
            task = self.task(panel, body, shown)
            call = Call(aggregator.expert, task, "aggregator", seat, stream=True)
            async with aclosing(step.events([(call, aggregator)])) as events:
                async for event in events:
                    yield event
            so_far: list[MemberAnswer] = step.replies or shown[:1]
            shown, rest = [*so_far, *rest[: self._window - 1]], rest[self._window - 1 :]
            seat += 1
        task = self.task(panel, body, shown)
        async with aclosing(aggregated(panel, task, seat, ask, shown)) as events:
            async for event in events:
                yield event


KIND = ModeKind(
    "Several samples of the best expert, put together by itself",
    lambda options: SelfMixtureOfAgents(options.window),
    one_expert=True,
    combines=True,
)
