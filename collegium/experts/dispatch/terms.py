"""On what terms a request is asked: whose it is, how urgent, by when, and what was tried."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

Priority = Literal["background", "normal", "urgent"]


@dataclass(frozen=True)
class Terms:
    """What dispatch needs to know of a request beside its body."""

    caller: str = ""
    """Callers share an engine fairly; requests of one caller share that caller's part."""
    priority: Priority = "normal"
    """`urgent` passes the caller's own other requests, `background` lets everybody pass."""
    deadline: float | None = None
    """The moment (`time.monotonic`) by which the whole answer is wanted."""
    expected_s: float | None = None
    """How long the answer itself is expected to take, seconds, without waiting."""
    hedge: bool = False
    """Ask a second expert when the first is slower than it nearly always is."""

    @property
    def turn_by(self) -> float | None:
        """The moment by which its answer has to begin; None where there is no deadline."""
        return None if self.deadline is None else self.deadline - (self.expected_s or 0.0)

    def left_s(self) -> float | None:
        """Seconds to the deadline; None where there is none."""
        return None if self.deadline is None else self.deadline - time.monotonic()


ANY_TIME = Terms()


@dataclass(frozen=True)
class Tried:
    """One expert that was asked and did not become the answer; `code` is the error's."""

    expert: str
    code: str
    error: str
    waited_ms: float
