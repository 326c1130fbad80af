"""What an answer is worth: its quality less what it took, in points of quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """How much quality (1 is a right answer) a dollar and a second are worth."""

    per_usd: float = 0.0
    per_second: float = 0.0

    def burden(self, cost_usd: Array, latency_s: Array | float = 0.0) -> Array:
        """What so many dollars and seconds take away from quality, in its units."""
        return np.asarray(self.per_usd * cost_usd + self.per_second * np.asarray(latency_s))
