"""Each expert's quality with an unbiased interval, from many marks of a judge and few true ones.

Prediction-powered inference (Angelopoulos et al., Science 2023) adds to the mean of the judge's
marks what the true marks say of its errors. How much the judge counts is tuned by its correlation
with the truth (PPI++, arXiv 2311.01453): a judge that tells nothing does not widen the interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]
FEWEST = 10
"""Confirmed marks of an expert; with fewer, the interval would span nearly all qualities."""
UNSEEN = 1.0
"""Added to the sum of squared errors: that there was none among a few marks proves little."""
LEVEL = 0.95


@dataclass(frozen=True)
class Marked:
    """A judge's mark of an answer, and the true mark if there is one."""

    expert: str
    judged: float
    true: float | None


@dataclass(frozen=True)
class Measured:
    """An expert's mean true mark on all judged answers."""

    quality: float
    low: float
    high: float
    """The 95 % interval."""
    judged_quality: float
    """The mean of the judge's marks, with its bias."""
    confirmed: int
    judged: int

    def of_all(self, came: float) -> Measured:
        """The same of all requests, of which a share was answered and the others count as wrong."""
        return replace(
            self,
            quality=_rate(came * self.quality),
            low=_rate(came * self.low),
            high=_rate(came * self.high),
            judged_quality=_rate(came * self.judged_quality),
        )


def measured(marks: Iterable[Marked]) -> Mapping[str, Measured]:
    """Return each expert's quality, of those with enough confirmed marks.

    The confirmed marks have to be a random sample of an expert's judged answers.
    """
    found = _Expert.by_name(marks)
    if not found:
        return {}
    weight = _weight(found.values())
    return {name: expert.measured(weight) for name, expert in found.items()}


@dataclass(frozen=True)
class _Expert:
    true: Array
    judged: Array
    """The judge's marks of the same answers (n)."""
    others: Array
    """Its marks of answers without a true mark (N)."""

    @classmethod
    def by_name(cls, marks: Iterable[Marked]) -> dict[str, _Expert]:
        rows = list(marks)
        found = {}
        for name in dict.fromkeys(row.expert for row in rows):
            own = [row for row in rows if row.expert == name]
            pairs = [(row.true, row.judged) for row in own if row.true is not None]
            if len(pairs) >= FEWEST:
                true, judged = np.array(pairs, dtype=np.float64).T
                others = np.array([row.judged for row in own if row.true is None], dtype=np.float64)
                found[name] = cls(true, judged, others)
        return found

    def measured(self, weight: float) -> Measured:
        """The estimate, with the judge's marks counted by a weight from 0 to 1."""
        if not len(self.others):
            weight = 0.0
        errors, count = self._errors(weight), len(self.true)
        squares = float(((errors - errors.mean()) ** 2).sum())
        quality, variance = float(errors.mean()), (squares + UNSEEN) / (count - 1) / count
        if weight:
            quality += weight * float(self.others.mean())
            variance += weight**2 * float(self.others.var()) / len(self.others)
        half = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * variance**0.5
        judged = np.concatenate([self.judged, self.others])
        return Measured(
            quality=_rate(quality),
            low=_rate(quality - half),
            high=_rate(quality + half),
            judged_quality=_rate(float(judged.mean())),
            confirmed=count,
            judged=len(judged),
        )

    def _errors(self, weight: float) -> Array:
        return self.true - weight * self.judged


def _weight(experts: Iterable[_Expert]) -> float:
    """How much the judge's marks count: what makes the intervals of all experts narrowest."""
    shared = spread = 0.0
    for each in experts:
        if len(each.others):
            judged = each.judged - each.judged.mean()
            shared += float((judged * (each.true - each.true.mean())).sum())
            spread += float((judged**2).sum()) * (1 + len(each.true) / len(each.others))
    return min(max(shared / spread, 0.0), 1.0) if spread else 0.0


def _rate(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 4)
