"""Calibrate the trade-off: which tolerance reaches which share, cost or quality.

A tolerance is how much forecast quality is given up for money. Its effect depends on the pool and
the traffic, so it is measured: on a sample of queries, every tolerance has a share of queries that
go to the dearest expert, a mean cost and a mean quality. All of them are monotone but for noise,
and read backwards they give the tolerance for a target (RouteLLM's calibration of its threshold,
arXiv 2406.18665, for any number of experts and any of the three measures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from collegium.errors import SetupError
from collegium.router.policy import DITHER, STOPS

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Measure = Literal["share", "cost", "quality"]
MEASURES: tuple[Measure, ...] = ("share", "cost", "quality")
STEPS = 250


def choices(quality: Array, cost: Array, tolerance: float | Array) -> Indices:
    """The cheapest expert within `tolerance` of each query's best, shape (n,); ties go to quality.

    Below 0 it is the dearest within -`tolerance`: more money than the forecasts ask for, which is
    what a share above the best experts' own takes. `quality` and `cost` have shape (n, experts),
    `tolerance` is a number or one a query.
    """
    allowed = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), len(quality))[:, None]
    sign = np.where(allowed >= 0, 1.0, -1.0)
    good = quality >= quality.max(axis=1, keepdims=True) - np.abs(allowed)
    price = np.where(good, sign * cost, np.inf)
    cheapest = price == price.min(axis=1, keepdims=True)
    return np.asarray(np.where(cheapest, quality, -np.inf).argmax(axis=1))


@dataclass(frozen=True)
class Sample:
    """Queries with forecasts, and what really came out; all arrays have shape (n, experts).

    Without `scores` and `spent` the forecasts stand for them: what is then measured is what is
    expected.
    """

    quality: Array
    cost: Array
    scores: Array | None = None
    spent: Array | None = None

    def at(self, tolerance: float) -> dict[Measure, float]:
        """Return all three measures of choosing with a tolerance."""
        dear, spent, score, best = self._each(tolerance)
        least = np.finfo(float).tiny
        return {
            "share": float(dear.mean()),
            "cost": float(np.nanmean(spent)),
            "quality": float(np.nanmean(score)) / max(float(np.nanmean(best)), least),
        }

    def spread(self, tolerance: float) -> dict[Measure, float]:
        """Each measure's standard deviation between queries; over √n it is the standard error."""
        dear, spent, score, best = self._each(tolerance)
        mean = max(float(np.nanmean(best)), np.finfo(float).tiny)
        ratio = np.nanmean(score) / mean
        return {
            "share": float(dear.std()),
            "cost": float(np.nanstd(spent)),
            "quality": float(np.nanstd(score - ratio * best)) / mean,
        }

    def _each(self, tolerance: float) -> tuple[Array, Array, Array, Array]:
        """By query: whether the choice is an expensive expert, its cost and score, and the best
        single expert's.
        """
        rows = np.arange(len(self.quality))
        spread = DITHER * (np.random.default_rng(0).random(len(rows)) - 0.5)
        chosen = choices(self.quality, self.cost, tolerance + spread)
        scores = self.quality if self.scores is None else self.scores
        spent = self.cost if self.spent is None else self.spent
        best = scores[:, int(np.nanmean(scores, axis=0).argmax())]
        dear = self._dearest()[chosen].astype(np.float64)
        return dear, spent[rows, chosen], scores[rows, chosen], best

    def _dearest(self) -> NDArray[np.bool_]:
        """The experts of the highest price: there may be several."""
        cost = self.cost.mean(axis=0)
        return np.asarray(cost >= cost.max() * (1 - 1e-9))


@dataclass(frozen=True)
class Curve:
    """The effect of each tolerance on a sample of queries; all arrays have shape (tolerances,)."""

    tolerance: Array
    share: Array
    """The share of queries answered by an expert of the highest price."""
    cost: Array
    quality: Array
    """Relative to the best single expert's mean."""

    def tolerance_for(self, measure: Measure, target: float) -> float:
        """Return the smallest tolerance whose `measure` is `target`; raise SetupError if none is.

        Of all that do, the least: never more quality is given up than the target takes.
        """
        falling = self._falling(measure)
        if not self.reaches(measure, target):
            low, high = falling[-1], falling[0]
            raise SetupError(
                f"a {measure} of {target:g} is out of reach: this pool gives "
                f"{low:.4g} to {high:.4g}"
            )
        # np.interp wants rising values; of equal ones it takes the last, here the least tolerance.
        return float(np.interp(target, falling[::-1], self.tolerance[::-1]))

    def reaches(self, measure: Measure, target: float) -> bool:
        """Whether any tolerance gives the target."""
        falling = self._falling(measure)
        return bool(falling[-1] <= target <= falling[0])

    def stops(self) -> Array:
        """The tolerances of the trade-offs 0 … 10, each of which saves as much money as the last.

        0 is the best forecast whatever it costs, 10 the cheapest expert; between them the mean
        cost falls evenly, so that 5 saves half of what can be saved.
        """
        kept = self.tolerance >= 0
        cost, tolerance = self._falling("cost")[kept], self.tolerance[kept]
        if cost[0] - cost[-1] <= 1e-12 * abs(cost[0]):
            raise SetupError(
                "there is no trade-off: the best experts are also the cheapest "
                "(prices are set with `collegium expert update NAME --output-price`)"
            )
        targets = np.linspace(cost[0], cost[-1], STOPS)
        found = np.interp(targets[1:-1], cost[::-1], tolerance[::-1])
        return np.asarray(np.r_[0.0, found, 1.0])

    def _falling(self, measure: Measure) -> Array:
        """The measure without its noise: the nearest curve that never rises."""
        values: Array = getattr(self, measure)
        return np.asarray(isotonic_regression(values, increasing=False))


def curve(sample: Sample, *, steps: int = STEPS) -> Curve:
    """Measure all tolerances on a sample of queries."""
    tolerances = _grid(sample.quality, steps)
    found = [sample.at(float(tolerance)) for tolerance in tolerances]
    return Curve(tolerances, *(np.array([row[name] for row in found]) for name in MEASURES))


def _grid(quality: Array, steps: int) -> Array:
    """A grid that is finer than the dither where it matters, and as dense as the experts' gaps."""
    gaps = (quality.max(axis=1, keepdims=True) - quality).ravel()
    inner = np.r_[np.linspace(0, 0.5, steps), np.quantile(gaps, np.linspace(0, 1, steps // 2))]
    return np.unique(np.r_[-1.0, -inner, 0.0, inner, 1.0])
