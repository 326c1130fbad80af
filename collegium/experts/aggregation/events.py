"""Events of a panel's progress, besides the events of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collegium.experts.clients.events import AnswerEvent


@dataclass(frozen=True)
class PanelEvent:
    """An event at one seat of a panel."""

    seat: int


@dataclass(frozen=True)
class Started(PanelEvent):
    """A call began."""

    expert: str
    role: str


@dataclass(frozen=True)
class Said(PanelEvent):
    """A piece of a call's answer: not yet, and perhaps never, the panel's."""

    text: str


@dataclass(frozen=True)
class Replied(PanelEvent):
    """A call's answer is whole."""

    text: str


@dataclass(frozen=True)
class Dropped(PanelEvent):
    """A call has no part in the answer: it failed, was late or was not needed any more."""

    reason: str


@dataclass(frozen=True)
class Group:
    """Members that gave the same answer."""

    answer: str
    seats: tuple[int, ...]
    weight: float


@dataclass(frozen=True)
class Chosen(PanelEvent):
    """The chosen answer, and how it was chosen."""

    how: str
    groups: tuple[Group, ...] = ()
    scores: Mapping[int, float] = field(default_factory=dict)
    """Scores by seat, if there are any."""


Event = PanelEvent | AnswerEvent
