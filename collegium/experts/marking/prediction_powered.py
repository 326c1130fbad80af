"""Means of true marks from a few confirmed ones and many noisy ones, with honest intervals.

Prediction-powered inference: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, "Prediction-powered
inference", Science 2023, with the power tuning of "PPI++" (Angelopoulos, Duchi and Zrnic, arXiv
2311.01453). Whatever the noisy marker's errors are, the interval holds; a better marker makes it
narrower, and a useless one does not widen it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from collegium.errors import BadRequest

Array = NDArray[np.float64]
PSEUDO_MARKS = 2
SLOPE_MARKS = 16
"""Marks' worth of variance that hold the power near 0: of few marks the slope is too well fitted.
Without them 10 to 40 marks cover up to 13 points less than they should, with them 1."""
FEWEST = 10
"""Confirmed marks that an interval needs at least."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval."""

    estimate: float
    low: float
    high: float
    power: float
    """How far the noisy marks are believed: 0, not at all, to 1."""
    confirmed: int


def ppi_mean(
    noisy_all: Any, noisy_confirmed: Any, true_confirmed: Any, level: float = 0.95
) -> Interval:
    """The mean true mark of a set of answers, within [0, 1].

    `noisy_all` (N) has the noisy marks of the whole set; the others (n) are those of the confirmed
    answers, which have to be a random sample of the set.
    """
    found = _estimated(
        _vector(noisy_all), noisy_confirmed, true_confirmed, level, middle=0.5, widest=0.25
    )
    return Interval(
        min(max(found.estimate, 0.0), 1.0),
        max(found.low, 0.0),
        min(found.high, 1.0),
        found.power,
        found.confirmed,
    )


def ppi_difference(
    noisy_all: Any, noisy_confirmed: Any, true_confirmed: Any, level: float = 0.95
) -> Interval:
    """The mean true mark of one expert less another's, on the same prompts, within [-1, 1].

    As `ppi_mean`, with two columns each: (N, 2), (n, 2), (n, 2).
    """
    pairs = [np.asarray(p, dtype=np.float64) for p in (noisy_all, noisy_confirmed, true_confirmed)]
    if any(p.ndim != 2 or p.shape[1] != 2 for p in pairs):
        raise BadRequest("a paired difference needs two columns of marks: one an expert")
    whole, noisy, true = (p[:, 0] - p[:, 1] for p in pairs)
    found = _estimated(whole, noisy, true, level, middle=0.0, widest=0.5)
    return Interval(
        min(max(found.estimate, -1.0), 1.0),
        max(found.low, -1.0),
        min(found.high, 1.0),
        found.power,
        found.confirmed,
    )


def _estimated(
    whole: Array, noisy: Any, true: Any, level: float, *, middle: float, widest: float
) -> Interval:
    """The mean of the confirmed marks, moved by how their noisy marks differ from all noisy marks.

    The confirmed answers are part of the set, so the noisy means are correlated: the variance is
    that of a regression estimator in two-phase sampling, and the best power its slope.
    """
    noisy, true = _vector(noisy), _vector(true)
    count = len(true)
    if len(noisy) != count or len(whole) < count:
        raise BadRequest(f"{count} true marks need as many noisy ones, out of all noisy marks")
    if count < FEWEST:
        raise BadRequest(
            f"{count} confirmed marks are too few for an interval: {FEWEST} are needed"
        )
    off = noisy - noisy.mean()
    slope = float(off @ true) / (float(off @ off) + SLOPE_MARKS * widest)
    power = min(max(slope, 0.0), 1.0)
    mean, variance = _smoothed(true - power * off, middle, widest)
    variance += power**2 * float(whole.var()) / len(whole)
    estimate = mean + power * float(whole.mean() - noisy.mean())
    half = float(t.ppf((1 + level) / 2, count - 2)) * math.sqrt(variance)
    return Interval(estimate, estimate - half, estimate + half, power, count)


def _smoothed(rest: Array, middle: float, widest: float) -> tuple[float, float]:
    """Mean and its variance, with `PSEUDO_MARKS` in the middle that spread as widely as can be.

    Few marks may all agree by chance, and an interval of their spread alone is too narrow (Agresti
    and Coull, "Approximate is better than exact", 1998).
    """
    count = len(rest) + PSEUDO_MARKS
    mean = (float(rest.sum()) + PSEUDO_MARKS * middle) / count
    squares = float(((rest - mean) ** 2).sum()) + PSEUDO_MARKS * (widest + (middle - mean) ** 2)
    return mean, squares / (count - 2) / count


def _vector(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise BadRequest("marks are a list of numbers, without gaps")
    return array
