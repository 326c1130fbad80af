"""What happens while a panel answers, in the order in which people may see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Started:
    """A call began."""

    seat: int
    expert: str
    role: str


@dataclass(frozen=True)
class Said:
    """A piece of a call's answer: not yet, and perhaps never, the panel's."""

    seat: int
    text: str


@dataclass(frozen=True)
class Replied:
    """A call's answer is whole."""

    seat: int
    text: str


@dataclass(frozen=True)
class Dropped:
    """A call has no part in the answer: it failed, was late or was not needed any more."""

    seat: int
    reason: str


@dataclass(frozen=True)
class Group:
    """Members that gave the same answer."""

    answer: str
    seats: tuple[int, ...]
    weight: float


@dataclass(frozen=True)
class Chosen:
    """Whose answer it is, and how that was found."""

    seat: int
    how: str
    groups: tuple[Group, ...] = ()
    scores: Mapping[int, float] = field(default_factory=dict)
    """A judge's or verifier's score by seat, where there is one."""


@dataclass(frozen=True)
class Delta:
    """A piece of the panel's answer, in the shape of a chunk's `delta`."""

    seat: int
    delta: Mapping[str, Any]


@dataclass(frozen=True)
class Finished:
    """The panel's answer is whole."""

    seat: int
    message: Mapping[str, Any]
    finish_reason: str | None
    logprobs: Mapping[str, Any] | None = None


Event = Started | Said | Replied | Dropped | Chosen | Delta | Finished
