"""First: the first complete answer wins, the others are cancelled.

This is the only mode whose answer depends on the speed of the experts, by design.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from collegium.experts.aggregation.base import Ask, Panel
from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.delivering import delivered
from collegium.experts.aggregation.events import Event
from collegium.experts.aggregation.fan_out import FanOut
from collegium.experts.aggregation.seating import seated


class First:
    """Time for money: the fastest of several."""

    name = "first"
    verbatim = True

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask all, keep the first to finish."""
        fan = FanOut(ask, panel)
        racing = fan.events(seated(panel.members, body), lambda replies, _: bool(replies))
        async with aclosing(racing) as events:
            async for event in events:
                yield event
        fan.require_quorum(1)
        for event in delivered(fan.replies[0], "the first to finish"):
            yield event


KIND = ModeKind("Several experts race; the fastest answers", lambda _: First(), seats=2)
