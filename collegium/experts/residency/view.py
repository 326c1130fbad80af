"""What a residency policy sees, and what it may decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Phase = Literal["absent", "loading", "resident", "leaving", "unloading"]


@dataclass(frozen=True, slots=True)
class EngineCost:
    """What an engine takes of the device: GiB while it is loaded, seconds to come and to go."""

    memory_gib: float
    load_s: float
    unload_s: float = 0.0
    at_once: int = 32
    """Requests that it answers together."""
    wake_s: float | None = None
    """Seconds to wake it; None of an engine that is stopped and not put to sleep."""
    asleep_gib: float = 0.0
    """What it keeps of the device while it sleeps."""


@dataclass(frozen=True, slots=True)
class EngineView:
    """One engine now. Times are seconds on the scheduler's clock."""

    name: str
    cost: EngineCost
    phase: Phase
    waiting: float
    """Requests; where the time to come is forecast, also parts of them."""
    waited_s: float
    """Waiting time of all waiting requests together."""
    oldest: float | None
    """When the first of them arrived."""
    deadline: float | None
    """The nearest deadline of a waiting request."""
    running: int
    last_used: float
    demand: float
    """Requests a second that are forecast for it."""
    since: float = 0.0
    """When its phase began."""


@dataclass(frozen=True, slots=True)
class View:
    """The device now."""

    now: float
    budget_gib: float
    engines: Mapping[str, EngineView]
    change: Change | None = None
    """What is being carried out."""

    def used_gib(self) -> float:
        """Memory that is taken, also by engines on their way in or out."""
        return sum(e.cost.memory_gib for e in self.engines.values() if e.phase != "absent")

    def in_phase(self, phase: Phase) -> list[EngineView]:
        """The engines in a phase, by name."""
        return sorted((e for e in self.engines.values() if e.phase == phase), key=lambda e: e.name)


@dataclass(frozen=True, slots=True)
class Change:
    """Load one engine, after others have finished what they are at and gone."""

    load: str
    evict: tuple[str, ...] = ()


class Policy(Protocol):
    """Decides what to load next; asked whenever nothing is on its way in or out."""

    def decide(self, view: View) -> Change | None:
        """Return the next change; None to leave all as it is."""
