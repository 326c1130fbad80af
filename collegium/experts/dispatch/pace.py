"""Measured durations of answers, without queueing."""

from __future__ import annotations

from collections import deque

MEMORY = 0.1  # weight of the newest answer in the running mean
MOST = 256  # the newest count, for an expert's speed changes
ENOUGH_TO_HEDGE = 20
HEDGE_QUANTILE = 0.95


class Pace:
    """One expert's service times and times to the first token, seconds."""

    def __init__(self) -> None:
        self.service_s: float | None = None
        """Running mean of the time that an answer occupies a slot; None before the first answer."""
        self._served = 0
        self._first: deque[float] = deque(maxlen=MOST)

    def served(self, seconds: float) -> None:
        """Note how long an answer had its slot."""
        self._served += 1
        weight = max(MEMORY, 1 / self._served)  # the plain mean of the first ten
        self.service_s = (1 - weight) * (self.service_s or 0.0) + weight * seconds

    def began(self, seconds: float) -> None:
        """Note how long an answer's first token took, waiting included."""
        self._first.append(seconds)

    def hedge_after_s(self) -> float | None:
        """The time by which 95 % of answers begin; None while there are too few measurements."""
        if len(self._first) < ENOUGH_TO_HEDGE:
            return None
        ordered = sorted(self._first)
        return ordered[min(len(ordered) - 1, int(HEDGE_QUANTILE * len(ordered)))]
