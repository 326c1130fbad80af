"""One expert, several prompts, and a vote (DIV-SE, Naik et al., arXiv 2310.07088)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from collegium.experts.aggregation.base import Ask, Panel
from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.events import Event
from collegium.experts.aggregation.vote import Vote, voting

WAYS = (
    "",
    "Work step by step before you give the answer, then give it after 'Answer:'.",
    "First name the rule or method that applies, then apply it. Give the answer after 'Answer:'.",
    "Work backwards: test what the result has to satisfy. Give the answer after 'Answer:'.",
    "Take it as a teacher who looks for the usual mistakes. Give the answer after 'Answer:'.",
)
"""The first says nothing more: the caller's own prompt has a vote too."""
STRICT_WAYS = ("", "Be exact.", "Check each part before you answer.", "Read it twice.", "Be brief.")
"""For schemas and tools, where text around the answer would break the format."""


class DiversePrompts:
    """The vote of one expert with itself, asked differently."""

    name = "diverse_prompts"
    verbatim = True

    def __init__(self, vote: Vote) -> None:
        self._vote = vote

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Give each member another way, then vote."""
        ways = STRICT_WAYS if body.get("tools") or body.get("response_format") else WAYS
        told = tuple(
            replace(member, instruction=ways[seat % len(ways)])
            for seat, member in enumerate(panel.members)
        )
        async with aclosing(self._vote.run(replace(panel, members=told), body, ask)) as events:
            async for event in events:
                yield event


KIND = ModeKind(
    "The best expert, asked in several ways, votes with itself",
    lambda options: DiversePrompts(voting(options)),
    one_expert=True,
)
