"""Mixture of agents: layers of members that see the answers of the previous layer, then an
aggregator.

Wang et al., "Mixture-of-Agents Enhances Large Language Model Capabilities", arXiv 2406.04692.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from collegium.experts.aggregation.base import Ask, Panel
from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.delivering import aggregated
from collegium.experts.aggregation.events import Event
from collegium.experts.aggregation.fan_out import FanOut
from collegium.experts.aggregation.quoting import asked_about, quoted
from collegium.experts.aggregation.seating import room, seated
from collegium.experts.aggregation.synthesis import Synthesis


class MixtureOfAgents(Synthesis):
    """`layers` rounds of members; one is a panel and its aggregator."""

    name = "moa"

    def __init__(self, layers: int = 1) -> None:
        self._layers = layers

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask layer by layer, then the aggregator."""
        asked, smallest = dict(body), min(panel.members, key=room)
        for layer in range(self._layers):
            fan = FanOut(ask, panel)
            calls = seated(panel.members, asked, first=layer * len(panel.members))
            async with aclosing(fan.events(calls)) as events:
                async for event in events:
                    yield event
            fan.require_quorum()
            shown = quoted(
                fan.replies,
                seed=panel.seed + layer,
                most_characters=room(smallest),
                records=True,
            )
            asked = asked_about(body, self.rules, shown.text, of_data=shown.rule)
        task = self.task(replace(panel, seed=panel.seed + self._layers), body, fan.replies)
        seat = self._layers * len(panel.members)
        async with aclosing(aggregated(panel, task, seat, ask, fan.replies)) as events:
            async for event in events:
                yield event


KIND = ModeKind(
    "Several experts answer, an aggregator writes the answer from theirs",
    lambda options: MixtureOfAgents(options.layers),
    combines=True,
)
