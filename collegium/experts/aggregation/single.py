"""One expert, one answer, passed on as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from collegium.experts.aggregation.base import Ask, Panel
from collegium.experts.aggregation.delivering import live
from collegium.experts.aggregation.events import Chosen, Event, Started
from collegium.experts.aggregation.seating import seated


class Single:
    """The best member answers alone."""

    name = "single"
    verbatim = True

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask the first member."""
        call, member = seated(panel.members[:1], body)[0]
        yield Started(call.seat, call.expert.name, call.role)
        yield Chosen(call.seat, "asked alone")
        async with aclosing(live(call, member, ask)) as events:
            async for event in events:
                yield event
