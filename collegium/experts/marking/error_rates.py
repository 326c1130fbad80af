"""What a noisy marker's marks are worth: its error rates, and marks corrected for them.

A judge's errors differ by expert (it prefers its own family, or long answers), and such a bias does
more harm than random errors. A small random sample of confirmed marks shows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

Array = NDArray[np.float64]
CONCENTRATIONS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Marks that the pooled rate may count for; the likeliest is taken."""
LEAST_YOUDEN = 0.1
"""A marker whose sensitivity + specificity - 1 may be lower than this tells nothing."""
ONE_SIDED = 1.645
"""Standard errors of a bound that holds in 95 of 100 cases."""


@dataclass(frozen=True)
class Confirmed:
    """A noisy marker's mark of an answer, and the true one that a person or a program gave."""

    prompt: str
    expert: str
    noisy: float
    true: float


@dataclass(frozen=True)
class Rates:
    """How often a marker finds right answers right, and wrong answers wrong."""

    sensitivity: float
    specificity: float
    sensitivity_sd: float
    specificity_sd: float
    right: float
    """The share of right answers among the confirmed ones."""
    count: int
    """Confirmed marks of this expert."""

    @property
    def youden(self) -> float:
        """Sensitivity + specificity - 1: 1 is a perfect marker, 0 one that guesses."""
        return self.sensitivity + self.specificity - 1

    @property
    def useful(self) -> bool:
        """Whether the marks tell anything, beyond what chance may have put into the sample."""
        sd = math.hypot(self.sensitivity_sd, self.specificity_sd)
        return self.youden - ONE_SIDED * sd > LEAST_YOUDEN


@dataclass(frozen=True)
class Corrected:
    """A noisy mark as evidence for the true one."""

    unbiased: float
    """Its mean over the marker's errors is the true mark; it may lie outside of [0, 1]."""
    variance: float
    """Of `unbiased` around the true mark."""
    mean: float
    """The expected true mark, given the expert's share of right answers: in [0, 1]."""
    reliability: float
    """The share of the true marks' variance that the noisy mark explains, from 0 to 1."""


class ErrorRates:
    """One marker's error rates by expert, each shrunk towards the rate of all experts together.

    Marks between 0 and 1 count as that share of a right answer.
    """

    def __init__(self, confirmed: Iterable[Confirmed]) -> None:
        rows = list(confirmed)
        experts = sorted({row.expert for row in rows})
        self._sensitivity = _shrunk([_share(rows, e, right=True) for e in experts])
        self._specificity = _shrunk([_share(rows, e, right=False) for e in experts])
        self.experts = {
            expert: self._rates(i, [r.true for r in rows if r.expert == expert])
            for i, expert in enumerate(experts)
        }
        self.pooled = self._rates(None, [row.true for row in rows])
        """What is believed of an expert without confirmed marks."""

    def of(self, expert: str) -> Rates:
        """The rates for one expert's answers."""
        return self.experts.get(expert, self.pooled)

    def corrected(self, expert: str, noisy: float) -> Corrected | None:
        """What a mark says once the errors are taken out; None where the marker is useless."""
        rates = self.of(expert)
        if not rates.useful:
            return None
        right, youden = rates.right, rates.youden
        false = 1 - rates.specificity
        unbiased = (noisy - false) / youden
        marked = right * rates.sensitivity + (1 - right) * false
        given_right = rates.sensitivity * (1 - rates.sensitivity)
        variance = (right * given_right + (1 - right) * false * (1 - false)) / youden**2
        spread = max(marked * (1 - marked), 1e-9)
        reliability = youden**2 * right * (1 - right) / spread
        mean = right + reliability * (unbiased - right)
        return Corrected(unbiased, variance, min(max(mean, 0.0), 1.0), reliability)

    def _rates(self, column: int | None, true: Sequence[float]) -> Rates:
        sensitivity, sensitivity_sd = self._sensitivity.at(column)
        specificity, specificity_sd = self._specificity.at(column)
        right = (sum(true) + 1) / (len(true) + 2)
        return Rates(sensitivity, specificity, sensitivity_sd, specificity_sd, right, len(true))


@dataclass(frozen=True)
class _Shrunk:
    """Beta posteriors of several rates around a common one."""

    hits: Array
    misses: Array
    common: float
    concentration: float

    def at(self, column: int | None) -> tuple[float, float]:
        """Mean and standard deviation of one rate; None: of one that nothing is known of."""
        a, b = self.common * self.concentration, (1 - self.common) * self.concentration
        if column is not None:
            a, b = a + float(self.hits[column]), b + float(self.misses[column])
        mean = a / (a + b)
        own = mean * (1 - mean) / (a + b + 1)
        # The common rate is an estimate too: it counts for what is not the expert's own.
        n = float(self.hits.sum() + self.misses.sum())
        borrowed = self.concentration / (a + b)
        shared = borrowed**2 * self.common * (1 - self.common) / (n + 3)
        return mean, math.sqrt(own + shared)


def _shrunk(shares: Sequence[tuple[float, float]]) -> _Shrunk:
    """Fit the common rate and how far the rates lie from it, by the beta-binomial likelihood."""
    table = np.array(shares, dtype=np.float64).reshape(len(shares), 2)
    hits, misses = table[:, 0], table[:, 1]
    common = float((hits.sum() + 1) / (table.sum() + 2))
    likelihoods = [_likelihood(hits, misses, common, c) for c in CONCENTRATIONS]
    return _Shrunk(hits, misses, common, CONCENTRATIONS[int(np.argmax(likelihoods))])


def _likelihood(hits: Array, misses: Array, common: float, concentration: float) -> float:
    a, b = common * concentration, (1 - common) * concentration
    return float((betaln(a + hits, b + misses) - betaln(a, b)).sum())


def _share(rows: Sequence[Confirmed], expert: str, *, right: bool) -> tuple[float, float]:
    """How many of an expert's right (or wrong) answers were marked as they are, and otherwise."""
    hits = misses = 0.0
    for row in rows:
        if row.expert == expert:
            weight, hit = (row.true, row.noisy) if right else (1 - row.true, 1 - row.noisy)
            hits, misses = hits + weight * hit, misses + weight * (1 - hit)
    return hits, misses
