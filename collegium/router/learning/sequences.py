"""Compare two rates with confidence sequences, which stay valid however often they are checked.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences" (Annals of Statistics, 2024): intervals that hold at all times together, so
that whoever looks after every request errs no more often than whoever looks once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FEWEST = 30
"""The minimum number of values: the sequences are asymptotic."""
TIGHTEST = 300
"""Values at which an interval is as tight as it can be for its time."""


@dataclass(frozen=True)
class Sums:
    """A count of values, their sum and the sum of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of_rate(cls, hits: int, count: int) -> Sums:
        """Return the sums of values that are 0 or 1."""
        return cls(count, float(hits), float(hits))

    @property
    def mean(self) -> float:
        """The mean."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """The variance as if one more value were at the far end, since no rate is known to be 0."""
        spread = max(self.squares / self.count - self.mean**2, 0.0)
        return spread + max(self.mean**2, 1e-12) / self.count if self.mean else 1 / self.count**2


def half_width(sums: Sums, alpha: float) -> float:
    """Return half the width of the interval that contains the mean at all times with 1 - alpha."""
    if sums.count < FEWEST:
        return math.inf
    log = -2 * math.log(alpha)
    rho = (log + math.log(log) + 1) / TIGHTEST
    n = sums.count
    factor = 2 * (n * rho + 1) / (n * n * rho) * math.log(math.sqrt(n * rho + 1) / alpha)
    return math.sqrt(sums.variance * factor)


def surely_above(one: Sums, other: Sums, alpha: float) -> float:
    """Return a lower bound of the difference of two means; it may be negative."""
    return one.mean - other.mean - half_width(one, alpha / 2) - half_width(other, alpha / 2)
