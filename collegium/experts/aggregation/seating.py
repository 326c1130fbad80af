"""Turn members into calls: the caller's body with each member's sampling and instruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collegium.experts.aggregation.base import Member
from collegium.experts.aggregation.quoting import with_instruction
from collegium.experts.clients.reply import Call


def seated(
    members: Sequence[Member], body: Mapping[str, Any], *, first: int = 0, logprobs: bool = False
) -> list[tuple[Call, Member]]:
    """Return one call per member, with seats counted from `first`."""
    return [
        (_call(seat, member, body_of(member, body, logprobs=logprobs)), member)
        for seat, member in enumerate(members, first)
    ]


def _call(seat: int, member: Member, body: Mapping[str, Any]) -> Call:
    return Call(member.expert, body, seat=seat, stream=True, instead=member.instead)


def body_of(member: Member, body: Mapping[str, Any], *, logprobs: bool = False) -> dict[str, Any]:
    """Return the body for this member."""
    asked = dict(body)
    if member.temperature is not None:
        asked["temperature"] = member.temperature
    if member.seed is not None:
        asked["seed"] = member.seed
    if member.instruction:
        asked["messages"] = with_instruction(body["messages"], member.instruction)
    if logprobs:
        asked["logprobs"] = True
    return asked


def room(member: Member) -> int:
    """Characters of quoted answers that leave half of the context to the rest, at 3 a token."""
    return member.expert.context_window * 3 // 2
