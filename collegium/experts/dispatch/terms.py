"""The terms of a request: its owner, its priority, its deadline, and earlier attempts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from collegium.registry.expert import Expert

Priority = Literal["background", "normal", "urgent"]


@dataclass(frozen=True)
class Terms:
    """What dispatch needs to know of a request besides its body."""

    caller: str = ""
    """Callers share an engine fairly; requests of one caller share that caller's part."""
    priority: Priority = "normal"
    """`urgent` overtakes the caller's own other requests; `background` lets all others go first."""
    deadline: float | None = None
    """The moment (`time.monotonic`) by which the whole answer is wanted."""
    expected_s: float | None = None
    """The expected duration of the answer, seconds, without waiting."""
    hedge: bool = False
    """Ask a second expert when the first is slower than it nearly always is."""
    probe: bool = False
    """Ask an expert also while it is left alone; its answer ends the rest for everybody."""

    @property
    def turn_by(self) -> float | None:
        """The time by which the answer has to begin; None without a deadline."""
        return None if self.deadline is None else self.deadline - (self.expected_s or 0.0)

    def left_s(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self.deadline is None else self.deadline - time.monotonic()


ANY_TIME = Terms()


SLOWER = "slower"


@dataclass(frozen=True)
class Tried:
    """An expert that was asked but did not answer; `code` is the error's, or `SLOWER`."""

    expert: str
    code: str
    error: str
    waited_ms: float


@dataclass(frozen=True)
class Lost:
    """An attempt that its expert had taken and may bill, although it became no answer."""

    expert: Expert
    prompt_tokens: int
    """An estimate, since no upstream reported it."""
    completion_tokens: int = 0
