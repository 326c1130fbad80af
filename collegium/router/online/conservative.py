"""Conservative exploration: a budget that pays for every risk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Purse:
    """Never worse than the baseline by more than `alpha` a query, plus `most`, over any window.

    Wu et al., "Conservative bandits" (ICML 2016) and Kazerouni et al., "Conservative contextual
    linear bandits" (NeurIPS 2017) keep such a promise from the first query on. The purse is the
    version for every window: each query earns `alpha`, the purse holds at most `most`, and a
    choice other than the baseline costs the baseline's upper bound less what is expected of the
    choice at least. When the outcome is seen, the seen takes the expected's place. So, whatever
    the experts do, over any n queries

        sum of (baseline's upper bound - seen reward) <= alpha * n + most + 1

    (the 1 is one outcome that fell short of its bound, in units of the reward's range; with
    several outcomes outstanding it is their number). If the bounds on the baseline hold, that
    bounds the true shortfall.
    """

    def __init__(self, alpha: float, most: float) -> None:
        self.alpha = alpha
        self.most = most
        self.level = 0.0

    def earn(self) -> None:
        """Add the earnings of one query."""
        self.level = min(self.most, self.level + self.alpha)

    def affordable(self, prices: Array) -> NDArray[np.bool_]:
        """Return which choices the budget can pay for, shape (e,).

        Those that risk nothing are free, but not in debt: their promise is a belief too.
        """
        return np.asarray(prices <= self.level)

    def pay(self, price: float) -> None:
        """Pay for a choice; a negative price (surely better than the baseline) earns."""
        self.level = min(self.most, self.level - price)

    def settle(self, expected: float, seen: float) -> None:
        """Replace the charge for a choice by what was observed."""
        self.level = min(self.most, self.level + seen - expected)
