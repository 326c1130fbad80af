"""Error rates of a noisy marker, and marks corrected for them.

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

from collegium.experts.marking.offsets import Offsets

Array = NDArray[np.float64]
CONCENTRATIONS = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
"""Marks that the pooled rate may count for, averaged by their likelihood times square root."""
LEAST_YOUDEN = 0.1
"""A marker whose sensitivity + specificity - 1 may be below this is considered uninformative."""
LEAST_SLOPE = 0.3
"""No contrast is stretched by more than the inverse of this, since noise is stretched, too."""
ONE_SIDED = 1.645
"""Standard errors of a one-sided 95 % bound."""


@dataclass(frozen=True)
class Confirmed:
    """A noisy marker's mark of an answer, and the true one that a person or a program gave."""

    prompt: str
    expert: str
    noisy: float
    true: float


@dataclass(frozen=True)
class Rates:
    """How often a marker marks correct answers as correct, and wrong answers as wrong."""

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

    value: float
    """The expected true mark. Its mean over an expert's answers estimates the share of correct
    ones; single values may lie slightly outside of [0, 1].
    """
    variance: float
    """Variance of the true mark around `value`."""
    reliability: float
    """The share of the true marks' variance that it explains, from 0 to 1."""
    contrast: float
    """`value`, with right and wrong answers as far apart as they are: an expected mark lies nearer
    to the middle, and a loss between two experts would look smaller than it is. What routers learn
    from: their promises are about losses."""


class ErrorRates:
    """One marker's error rates by expert, each shrunk towards the rate of all experts.

    Marks between 0 and 1, such as ties in a comparison, count as that share of a right answer. The
    rates are then those of the least-squares line through the marks, so a marker that finds the
    same ties as a person does is right, and one that always says "tie" tells nothing.
    """

    def __init__(self, confirmed: Iterable[Confirmed]) -> None:
        rows = list(confirmed)
        experts = sorted({row.expert for row in rows})
        line = _Line.through(rows)
        self._sensitivity = _shrunk([line.right(rows, expert) for expert in experts])
        self._specificity = _shrunk([line.wrong(rows, expert) for expert in experts])
        self._variance = line.variance
        self.experts = {
            expert: self._rates(i, [r.true for r in rows if r.expert == expert])
            for i, expert in enumerate(experts)
        }
        self.pooled = self._rates(None, [row.true for row in rows])
        """The rates of an expert without confirmed marks."""
        column = {expert: i for i, expert in enumerate(experts)}
        self._column = column
        marks = (
            np.array([row.noisy for row in rows]),
            np.array([row.true for row in rows]),
            np.array([column[row.expert] for row in rows], dtype=np.intp),
        )
        self._offsets = Offsets(*marks)
        # The inverse of what errors make of a contrast, and what it leaves of each expert's favour.
        self._contrasts = Offsets(*marks, slope=1 / max(self.pooled.youden, LEAST_SLOPE))

    @property
    def contrast_sd(self) -> float:
        """The sd of what the marker's favour adds to the difference of two experts' means.

        No number of its marks makes that smaller, only more confirmed ones.
        """
        return self._contrasts.contrast_sd

    def of(self, expert: str) -> Rates:
        """The rates for one expert's answers."""
        return self.experts.get(expert, self.pooled)

    def corrected(self, expert: str, noisy: float) -> Corrected | None:
        """Return a mark corrected for the errors; None if the marker is uninformative."""
        if not self.pooled.useful:
            return None
        value, variance = self._offsets.corrected(self._column.get(expert), noisy)
        reliability = min(max(1 - variance / max(self._variance, 1e-9), 0.0), 1.0)
        contrast, _ = self._contrasts.corrected(self._column.get(expert), noisy)
        return Corrected(value, variance, reliability, contrast)

    def _rates(self, column: int | None, true: Sequence[float]) -> Rates:
        sensitivity, sensitivity_sd = self._sensitivity.at(column)
        specificity, specificity_sd = self._specificity.at(column)
        right = (sum(true) + 1) / (len(true) + 2)
        return Rates(sensitivity, specificity, sensitivity_sd, specificity_sd, right, len(true))


@dataclass(frozen=True)
class _Shrunk:
    """Beta posteriors of several rates around a common one, for each concentration."""

    hits: Array
    misses: Array
    common: float
    weights: Array
    """Weights of the concentrations."""

    def at(self, column: int | None) -> tuple[float, float]:
        """Return mean and standard deviation of one rate; None for an expert without data."""
        a, b = self.common * CONCENTRATIONS, (1 - self.common) * CONCENTRATIONS
        if column is not None:
            a, b = a + self.hits[column], b + self.misses[column]
        means = a / (a + b)
        mean = float(self.weights @ means)
        own = float(self.weights @ (means * (1 - means) / (a + b + 1) + (means - mean) ** 2))
        # The common rate is an estimate too: it counts for what is not the expert's own.
        n = float(self.hits.sum() + self.misses.sum())
        borrowed = float(self.weights @ (CONCENTRATIONS / (a + b)))
        shared = borrowed**2 * self.common * (1 - self.common) / (n + 3)
        return mean, math.sqrt((own if column is not None else 0.0) + shared)


def _shrunk(shares: Sequence[tuple[float, float]]) -> _Shrunk:
    """Fit the common rate and how far the rates lie from it, by the beta-binomial likelihood."""
    table = np.array(shares, dtype=np.float64).reshape(len(shares), 2)
    hits, misses = table[:, 0], table[:, 1]
    common = float((hits.sum() + 1) / (table.sum() + 2))
    logs = np.array([_likelihood(hits, misses, common, c) for c in CONCENTRATIONS])
    logs += 0.5 * np.log(CONCENTRATIONS)
    weights = np.exp(logs - logs.max())
    return _Shrunk(hits, misses, common, weights / weights.sum())


def _likelihood(hits: Array, misses: Array, common: float, concentration: float) -> float:
    a, b = common * concentration, (1 - common) * concentration
    return float((betaln(a + hits, b + misses) - betaln(a, b)).sum())


@dataclass(frozen=True)
class _Line:
    """noisy = sensitivity x true + (1 - specificity) x (1 - true), by least squares.

    Where all true marks are 0 or 1 these are the shares that were marked as they are.
    """

    sensitivity: float
    specificity: float
    variance: float
    """Variance of the true marks."""
    information: float
    """That variance as a share of what marks of 0 and 1 with the same mean have: ties tell less
    of the line's ends, so they count for less."""

    @classmethod
    def through(cls, rows: Sequence[Confirmed]) -> _Line:
        true = np.array([row.true for row in rows], dtype=np.float64)
        noisy = np.array([row.noisy for row in rows], dtype=np.float64)
        ends = np.stack([true, 1 - true], axis=1)
        (right, wrong), *_ = np.linalg.lstsq(ends, noisy, rcond=None)
        mean = (float(true.sum()) + 1) / (len(true) + 2)
        variance = float(true.var()) if len(true) else 0.0
        if set(np.unique(true)) <= {0.0, 1.0}:
            return cls(_within(right), _within(1 - wrong), mean * (1 - mean), 1.0)
        information = variance / (mean * (1 - mean))
        return cls(_within(right), _within(1 - wrong), variance, information)

    def right(self, rows: Iterable[Confirmed], expert: str) -> tuple[float, float]:
        """Count an expert's correct answers that were marked correctly and incorrectly."""
        return self._counts((r.true, self.sensitivity + self._off(r)) for r in _of(rows, expert))

    def wrong(self, rows: Iterable[Confirmed], expert: str) -> tuple[float, float]:
        """Count an expert's wrong answers that were marked correctly and incorrectly."""
        return self._counts(
            (1 - r.true, self.specificity - self._off(r)) for r in _of(rows, expert)
        )

    def _off(self, row: Confirmed) -> float:
        """Return how far a mark is above the line."""
        expected = self.sensitivity * row.true + (1 - self.specificity) * (1 - row.true)
        return row.noisy - expected

    def _counts(self, shares: Iterable[tuple[float, float]]) -> tuple[float, float]:
        hits = total = 0.0
        for weight, hit in shares:
            hits += weight * _within(hit)
            total += weight
        return self.information * hits, self.information * (total - hits)


def _of(rows: Iterable[Confirmed], expert: str) -> Iterable[Confirmed]:
    return (row for row in rows if row.expert == expert)


def _within(share: float) -> float:
    return min(max(float(share), 0.0), 1.0)
