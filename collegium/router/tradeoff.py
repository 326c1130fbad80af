"""Calibrate the trade-off: which tolerance buys which share, cost or quality.

A tolerance is how much forecast quality is given up for money. Its effect depends on the pool and
the traffic, so it is measured: on a sample of queries, every tolerance has a share of queries that
go to the dearest expert, a mean cost and a mean quality. All of them are monotone but for noise,
and read backwards they give the tolerance for a target (RouteLLM's calibration of its threshold,
arXiv 2406.18665, for any number of experts and any of the three measures).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from collegium.errors import ArtifactRejected, SetupError
from collegium.router.policy import tolerance

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Measure = Literal["share", "cost", "quality"]
MEASURES: tuple[Measure, ...] = ("share", "cost", "quality")
STEPS = 400
STOPS = 11
"""The trade-offs 0, 1, … 10 whose tolerances a router's card keeps."""


def choices(quality: Array, cost: Array, tolerance: float) -> Indices:
    """The cheapest expert within `tolerance` of each query's best, shape (n,); ties go to quality.

    Below 0 it is the dearest within -`tolerance`: more money than the forecasts ask for, which is
    what a share above the best experts' own takes. `quality` and `cost` have shape (n, experts).
    """
    sign = 1.0 if tolerance >= 0 else -1.0
    good = quality >= quality.max(axis=1, keepdims=True) - abs(tolerance)
    price = np.where(good, sign * cost, np.inf)
    cheapest = price == price.min(axis=1, keepdims=True)
    return np.asarray(np.where(cheapest, quality, -np.inf).argmax(axis=1))


@dataclass(frozen=True)
class Curve:
    """What each tolerance does to a sample of queries; all arrays have shape (tolerances,)."""

    tolerance: Array
    share: Array
    """Of the queries, to the dearest expert."""
    cost: Array
    quality: Array
    """Relative to the best single expert's mean."""

    def tolerance_for(self, measure: Measure, target: float) -> float:
        """The tolerance whose `measure` is `target`; SetupError where none reaches it.

        Of all that do, the least: never more quality is given up than the target takes.
        """
        falling = self._falling(measure)
        low, high = float(falling[-1]), float(falling[0])
        if not low <= target <= high:
            raise SetupError(
                f"a {measure} of {target:g} is out of reach: this pool gives "
                f"{low:.4g} to {high:.4g}"
            )
        # np.interp wants rising values; of equal ones it takes the last, here the least tolerance.
        return float(np.interp(target, falling[::-1], self.tolerance[::-1]))

    def stops(self) -> Array:
        """The tolerances of the trade-offs 0 … 10, each of which saves as much money as the last.

        0 is the best forecast whatever it costs, 10 the cheapest expert; between them the mean
        cost falls evenly, so that 5 saves half of what can be saved.
        """
        kept = self.tolerance >= 0
        cost, tolerance = self._falling("cost")[kept], self.tolerance[kept]
        if cost[0] - cost[-1] <= 1e-12 * abs(cost[0]):
            raise SetupError(
                "there is nothing to trade: the best experts cost as little as the cheapest "
                "(prices are set with `collegium expert update NAME --output-price`)"
            )
        targets = np.linspace(cost[0], cost[-1], STOPS)
        found = np.interp(targets[1:-1], cost[::-1], tolerance[::-1])
        return np.r_[0.0, found, 1.0]

    def _falling(self, measure: Measure) -> Array:
        """The measure without its noise: the nearest curve that never rises."""
        values: Array = getattr(self, measure)
        return np.asarray(isotonic_regression(values, increasing=False))


def curve(
    quality: Array,
    cost: Array,
    scores: Array | None = None,
    spent: Array | None = None,
    *,
    steps: int = STEPS,
) -> Curve:
    """Measure all tolerances on queries with forecasts `quality` and `cost`, shape (n, experts).

    `scores` and `spent` are what really came out, by default the forecasts themselves: then the
    curve tells what is expected, not what was measured.
    """
    scores = quality if scores is None else scores
    spent = cost if spent is None else spent
    tolerances = _grid(quality, steps)
    dearest = int(np.nanmean(cost, axis=0).argmax())
    best_single = max(float(np.nanmax(np.nanmean(scores, axis=0))), np.finfo(float).tiny)
    rows = np.arange(len(quality))
    found = np.array(
        [
            (
                np.mean(chosen == dearest),
                np.nanmean(spent[rows, chosen]),
                np.nanmean(scores[rows, chosen]) / best_single,
            )
            for tolerance in tolerances
            for chosen in (choices(quality, cost, tolerance),)
        ]
    )
    return Curve(tolerances, *found.T)


def _grid(quality: Array, steps: int) -> Array:
    """As dense as the gaps between the experts are, from all the money to none of it."""
    gaps = (quality.max(axis=1, keepdims=True) - quality).ravel()
    inner = np.quantile(gaps, np.linspace(0, 1, steps // 2))
    return np.unique(np.r_[-1.0, -inner, 0.0, inner, 1.0])


@dataclass(frozen=True)
class Tolerances:
    """The tolerance of each trade-off 0 … 10, as a router's card says; else `policy.tolerance`.

    A floor in the card (`conformal.py`) is never crossed, whatever the trade-off.
    """

    stops: tuple[float, ...] | None = None
    most: float = 1.0

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Tolerances:
        """Read a card; ArtifactRejected where it is garbled."""
        try:
            stops = card["tradeoff"]["tolerances"] if "tradeoff" in card else None
            most = card["floor"]["tolerance"] if "floor" in card else 1.0
            found = cls(None if stops is None else tuple(map(float, stops)), float(most))
        except (LookupError, TypeError, ValueError) as exc:
            raise ArtifactRejected(f"the router's card has garbled tolerances: {exc}") from exc
        if not found._plausible():
            raise ArtifactRejected(f"the router's card needs {STOPS} rising tolerances from 0 to 1")
        return found

    def at(self, tradeoff: float) -> float:
        """How much P(correct) is given up for money."""
        if self.stops is None:
            return min(tolerance(tradeoff), self.most)
        return min(float(np.interp(tradeoff, np.arange(STOPS), self.stops)), self.most)

    def _plausible(self) -> bool:
        stops = (0.0,) * STOPS if self.stops is None else self.stops
        rising = all(0 <= a <= b <= 1 for a, b in pairwise(stops))
        return len(stops) == STOPS and rising and 0 <= self.most <= 1
