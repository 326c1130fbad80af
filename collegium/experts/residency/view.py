"""The input and output of a residency policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Phase = Literal["absent", "loading", "resident", "leaving", "unloading"]


@dataclass(frozen=True, slots=True)
class EngineCost:
    """An engine's cost on each of its cards: GiB while loaded, seconds to load and to unload."""

    memory_gib: float
    load_s: float
    unload_s: float = 0.0
    at_once: int = 32
    """Requests that it answers together."""
    wake_s: float | None = None
    """Seconds to wake it; None if it is stopped instead of put to sleep."""
    asleep_gib: float = 0.0
    """GiB of each card that it keeps while sleeping."""
    cards: tuple[int, ...] = (0,)
    """The cards that it is loaded on; a machine without cards counts as one."""


@dataclass(frozen=True, slots=True)
class EngineView:
    """The state of one engine. Times are seconds on the scheduler's clock."""

    name: str
    cost: EngineCost
    phase: Phase
    waiting: float
    """The number of waiting requests; fractional in forecasts."""
    waited_s: float
    """Waiting time of all waiting requests together."""
    oldest: float | None
    """When the oldest of them arrived."""
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
    """The device, or the cards, now."""

    now: float
    budget_gib: Mapping[int, float]
    """The memory of each card for engines that take turns."""
    engines: Mapping[str, EngineView]
    change: Change | None = None
    """The change in progress."""

    def free_gib(self) -> dict[int, float]:
        """What is free of each card; engines on their way in or out take theirs."""
        free = dict(self.budget_gib)
        for engine in self.engines.values():
            if engine.phase != "absent":
                for card in engine.cost.cards:
                    free[card] = free.get(card, 0.0) - engine.cost.memory_gib
        return free

    def in_phase(self, phase: Phase) -> list[EngineView]:
        """The engines in a phase, by name."""
        return sorted((e for e in self.engines.values() if e.phase == phase), key=lambda e: e.name)


@dataclass(frozen=True, slots=True)
class Change:
    """Load one engine after others have finished and been unloaded."""

    load: str
    evict: tuple[str, ...] = ()


class Policy(Protocol):
    """Decides what to load next; asked whenever nothing is on its way in or out."""

    def decide(self, view: View) -> Change | None:
        """Return the next change; None to keep everything as it is."""
