"""Forecast each engine's demand: the recent rate of arrivals times the routing probabilities.

The rate changes within minutes, the mix of queries more slowly; so each has a memory of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

RATE_MEMORY_S = 120.0
SHARE_MEMORY_S = 1200.0


class Demand:
    """Exponentially forgetting averages; times are seconds on the caller's clock."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._rate_at = 0.0
        self._arrivals = 0.0
        self._shares: dict[str, float] = {}
        self._total = 0.0

    def arrived(self, now: float, probabilities: Mapping[str, float]) -> None:
        """Note a query; `probabilities` are the router's for each engine."""
        self._forget(now)
        self._arrivals += 1.0
        for engine, probability in probabilities.items():
            self._shares[engine] = self._shares.get(engine, 0.0) + probability
            self._total += probability

    def per_second(self, engine: str, now: float) -> float:
        """Requests a second that are forecast for an engine."""
        if self._total <= 0 or self._started is None:
            return 0.0
        age = now - self._rate_at
        # The average of a memory that is not full yet: a young service sees no fall in demand.
        seen_s = RATE_MEMORY_S * -math.expm1(-(now - self._started) / RATE_MEMORY_S)
        rate = self._arrivals * math.exp(-age / RATE_MEMORY_S) / max(seen_s, 1.0)
        return rate * self._shares.get(engine, 0.0) / self._total

    def _forget(self, now: float) -> None:
        if self._started is None:
            self._started = self._rate_at = now
        age, self._rate_at = now - self._rate_at, now
        self._arrivals *= math.exp(-age / RATE_MEMORY_S)
        kept = math.exp(-age / SHARE_MEMORY_S)
        self._total *= kept
        for engine in self._shares:
            self._shares[engine] *= kept
