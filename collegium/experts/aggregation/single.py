"""Single: one expert, one answer, passed on as it arrives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from collegium.experts.aggregation.base import Ask, Panel
from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.events import Event
from collegium.experts.clients.reply import Call


class Single:
    """The best member answers alone."""

    name = "single"
    verbatim = True

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask the first member, or who may take its seat."""
        member = panel.members[0]
        call = Call(
            member.expert, body, stream=panel.stream, instead=member.instead, native=panel.native
        )
        async with ask(call) as reply:
            async for event in reply:
                yield event


KIND = ModeKind("One expert answers alone", lambda _: Single(), seats=1)
