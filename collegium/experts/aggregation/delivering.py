"""Hand the panel's answer over: a member's whole, or an aggregator's as it is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from collegium.errors import CollegiumError
from collegium.experts.aggregation.base import Ask, Call, Member, Panel, Reply
from collegium.experts.aggregation.drafts import Draft
from collegium.experts.aggregation.events import (
    Chosen,
    Delta,
    Dropped,
    Event,
    Finished,
    Group,
    Replied,
    Said,
    Started,
)


def delivered(
    reply: Reply,
    how: str,
    *,
    groups: Sequence[Group] = (),
    scores: Mapping[int, float] | None = None,
) -> list[Event]:
    """The last events of a panel whose answer is a member's own."""
    return [
        Chosen(reply.seat, how, tuple(groups), scores or {}),
        Delta(reply.seat, reply.message),
        Finished(reply.seat, reply.message, reply.finish_reason, reply.logprobs),
    ]


async def live(call: Call, member: Member, ask: Ask) -> AsyncGenerator[Event]:
    """Pass an answer on as it comes; raises what the expert raises."""
    draft = Draft()
    async with aclosing(ask(call)) as chunks:
        async for chunk in chunks:
            if delta := draft.take(chunk):
                if text := delta.get("content"):
                    yield Said(call.seat, text)
                yield Delta(call.seat, delta)
    reply = draft.reply(call, member)
    yield Replied(call.seat, reply.text)
    yield Finished(call.seat, reply.message, reply.finish_reason, reply.logprobs)


async def aggregated(
    panel: Panel, body: Mapping[str, Any], seat: int, ask: Ask, replies: Sequence[Reply]
) -> AsyncGenerator[Event]:
    """Let the aggregator write the answer; the first member's where it fails before a word."""
    aggregator = panel.aggregator or panel.members[0]
    call = Call(seat, aggregator.expert, body, "aggregator")
    spoken = False
    yield Started(seat, call.expert.name, call.role)
    try:
        async with aclosing(live(call, aggregator, ask)) as events:
            async for event in events:
                if isinstance(event, Delta) and not spoken:
                    spoken = True
                    yield Chosen(seat, "written by the aggregator")
                yield event
    except CollegiumError as exc:
        yield Dropped(seat, str(exc))
        if spoken:  # nobody can take back what was read
            raise
        for event in delivered(replies[0], "the aggregator failed: the first member's answer"):
            yield event
