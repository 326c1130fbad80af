"""Deliver the panel's answer: a member's as a whole, or an aggregator's as it is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from collegium.errors import CollegiumError
from collegium.experts.aggregation.base import Ask, MemberAnswer, Panel
from collegium.experts.aggregation.events import (
    Chosen,
    Dropped,
    Event,
    Group,
    PanelEvent,
    Replied,
    Said,
    Started,
)
from collegium.experts.clients.events import Began, Finish, Text, Usage
from collegium.experts.clients.reply import Call, Fold


def delivered(
    reply: MemberAnswer,
    how: str,
    *,
    groups: Sequence[Group] = (),
    scores: Mapping[int, float] | None = None,
) -> list[Event]:
    """The last events of a panel whose answer is a member's own."""
    return [Chosen(reply.seat, how, tuple(groups), scores or {}), *reply.events()]


async def live(call: Call, ask: Ask) -> AsyncGenerator[Event]:
    """Pass an answer on as it arrives; raise the expert's errors."""
    fold = Fold()
    async with ask(call) as reply:
        async for event in reply:
            fold.take(event)
            if isinstance(event, Began | Usage | Finish):
                continue
            if isinstance(event, Text) and event.text:
                yield Said(call.seat, event.text)
            yield event
    answer = fold.answer()
    yield Replied(call.seat, answer.text)
    yield Finish(answer.choices[0]["finish_reason"])


async def aggregated(
    panel: Panel, body: Mapping[str, Any], seat: int, ask: Ask, replies: Sequence[MemberAnswer]
) -> AsyncGenerator[Event]:
    """Let the aggregator write the answer; use the first member's if it fails before its first
    word.
    """
    aggregator = panel.aggregator or panel.members[0]
    call = Call(aggregator.expert, body, "aggregator", seat, stream=True)
    spoken = False
    yield Started(seat, call.expert.name, call.role)
    try:
        async with aclosing(live(call, ask)) as events:
            async for event in events:
                if not isinstance(event, PanelEvent) and not spoken:
                    spoken = True
                    yield Chosen(seat, "written by the aggregator")
                yield event
    except CollegiumError as exc:
        yield Dropped(seat, exc.public)
        if spoken:  # nobody can take back what was read
            raise
        for event in delivered(replies[0], "the aggregator failed: the first member's answer"):
            yield event
