"""Calibration of forecasts: whether 80 % of answers forecast at 0.8 are correct.

ECE: Naeini, Cooper & Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"
(2015); bins of equal mass after Nixon et al., "Measuring Calibration in Deep Learning" (2019).
"""

from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Forecasts of about the same size, and how often they came true."""

    forecast: float
    observed: float
    count: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error and Brier score (both 0 at best) over `count` forecasts."""

    count: int
    ece: float
    brier: float
    bins: tuple[Bin, ...]


def calibration(forecasts: Floats, scores: Floats, *, bins: int = BINS) -> Calibration | None:
    """Compare forecasts with outcomes of any shape; cells with a NaN are ignored.

    None if nothing was forecast.
    """
    if forecasts.shape != scores.shape:
        raise ValueError(f"forecasts {forecasts.shape} and scores {scores.shape} differ in shape")
    known = np.isfinite(forecasts) & np.isfinite(scores)
    expected, observed = forecasts[known], scores[known]
    if not expected.size:
        return None
    if expected.min() < 0 or expected.max() > 1:
        raise ValueError("forecasts are probabilities in [0, 1]")
    groups = equal_mass(expected, bins)
    found = tuple(
        Bin(float(expected[group].mean()), float(observed[group].mean()), len(group))
        for group in groups
    )
    gaps = sum(each.count * abs(each.forecast - each.observed) for each in found)
    brier = float(np.mean((expected - observed) ** 2))
    return Calibration(expected.size, gaps / expected.size, brier, found)


def equal_mass(values: Floats, bins: int) -> list[Ints]:
    """Split values, by rank, into up to `bins` groups of about the same size.

    Equal values stay together: a tie split by chance would look like miscalibration.
    """
    order = np.argsort(values, kind="stable").astype(np.int64)
    ordered = values[order]
    wanted = np.arange(1, bins) * len(values) // bins
    cuts = np.unique(np.searchsorted(ordered, ordered[wanted], side="left"))
    return [group for group in np.split(order, cuts) if len(group)]
