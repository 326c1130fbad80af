"""Calibrate targets on recorded outcomes with out-of-sample forecasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.training.conformal import Floor, breaks, expected_by_neighbours, fit_floor
from collegium.router.tradeoff import MEASURES, Curve, Measure, Sample, choices, curve

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Forecasts = Callable[[Array], Array]
Fit = Callable[[Array, Array], Forecasts]
FEWEST = 40
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
QUALITIES = (0.9, 0.95, 0.98)


@dataclass(frozen=True)
class Traffic:
    """Recorded queries: embeddings (n, d), scores and costs (n, experts), NaN where unmeasured."""

    X: Array
    scores: Array
    spent: Array
    held_out: NDArray[np.bool_]
    """Which queries judge, shape (n,); the others calibrate."""
    forecast: Array | None = None
    """What a router that saw none of these queries forecasts, in the shape of `scores`; where it
    is None, a half of the others is set aside to fit forecasts."""


@dataclass(frozen=True)
class Hit:
    """One target, the tolerance calibrated for it, and what that gave on held-out queries.

    `chance` is the standard error of the difference: what would be off with perfect calibration,
    for both samples are finite.
    """

    measure: Measure
    target: float
    tolerance: float
    held_out: float
    chance: float


@dataclass(frozen=True)
class HeldFloor:
    """A floor, and the share of held-out queries that kept its promise, and at what mean cost."""

    floor: Floor
    held_out: float
    cost: float
    cost_of_best: float


def believed(X: Array, y: Array) -> Forecasts:
    """Return forecasts fitted as by `router train`, without applications."""
    from collegium.router.beliefs.beliefs import Beliefs  # scikit-learn takes a second to load

    beliefs = Beliefs().fit(X, y)
    return lambda new: beliefs.forecast(new).quality


@dataclass(frozen=True)
class Parts:
    """Rows of the traffic: a half of what is not held out for the forecasts, a half to calibrate.

    With forecasts given, all of it calibrates.

    Forecasts out of fold would waste less, but come from as many models, whose small shifts move
    the share of an expert by far more than chance does where all queries are alike.
    """

    fitted_on: Indices
    calibrated_on: Indices
    judged_on: Indices

    @classmethod
    def of(cls, traffic: Traffic) -> Parts:
        learn, judge = np.flatnonzero(~traffic.held_out), np.flatnonzero(traffic.held_out)
        given = traffic.forecast is not None
        if min(len(learn) if given else len(learn) // 2, len(judge)) < FEWEST:
            raise SetupError(
                f"at least {FEWEST} queries are needed to fit, to calibrate, to judge; there are "
                f"{len(learn)} to {'calibrate' if given else 'fit and to calibrate'} and "
                f"{len(judge)} to judge, without those that a router was fitted on"
            )
        if given:
            return cls(learn, learn, judge)
        mixed = np.random.default_rng(0).permutation(learn)
        return cls(mixed[::2], mixed[1::2], judge)


def _forecasts(traffic: Traffic, parts: Parts, fit: Fit) -> Array:
    """P(correct) of every query, shape (n, experts)."""
    if traffic.forecast is not None:
        return traffic.forecast
    return fit(traffic.X[parts.fitted_on], traffic.scores[parts.fitted_on])(traffic.X)


def samples(traffic: Traffic, fit: Fit = believed) -> tuple[Sample, Sample]:
    """The sample that calibrates and the one that judges; the forecasts saw neither.

    A query's cost is not known before it is answered, so that the expert's mean stands for it.
    """
    parts = Parts.of(traffic)
    forecast = _forecasts(traffic, parts, fit)
    price = np.nanmean(traffic.spent[parts.fitted_on], axis=0)

    def sample(rows: Indices) -> Sample:
        cost = np.tile(price, (len(rows), 1))
        return Sample(forecast[rows], cost, traffic.scores[rows], traffic.spent[rows])

    return sample(parts.calibrated_on), sample(parts.judged_on)


def hits(
    calibrated: Curve,
    judge: Sample,
    targets: Sequence[tuple[Measure, float]] = (),
    *,
    calibration_queries: int,
) -> tuple[Hit, ...]:
    """What each target's tolerance gives on the held-out sample; by default those in reach."""
    found = []
    both = np.sqrt(1 / calibration_queries + 1 / len(judge.quality))
    for measure, target in targets or _reachable(calibrated):
        tolerance = calibrated.tolerance_for(measure, target)
        chance = float(both * judge.spread(tolerance)[measure])
        found.append(Hit(measure, target, tolerance, judge.at(tolerance)[measure], chance))
    return tuple(found)


def _reachable(calibrated: Curve) -> list[tuple[Measure, float]]:
    usual: Mapping[Measure, tuple[float, ...]] = {"share": SHARES, "quality": QUALITIES}
    return [
        (measure, target)
        for measure in MEASURES
        for target in usual.get(measure, ())
        if calibrated.reaches(measure, target)
    ]


def held_floor(
    traffic: Traffic,
    *,
    guarantee: float,
    within: float,
    confidence: float = 0.95,
    fit: Fit = believed,
) -> HeldFloor:
    """The floor that these forecasts support, and how it does on held-out queries."""
    parts = Parts.of(traffic)
    unseen = np.r_[parts.calibrated_on, parts.judged_on]
    expected = expected_by_neighbours(traffic.X[unseen], traffic.scores[unseen])
    price = np.nanmean(traffic.spent[parts.fitted_on], axis=0)
    cost = np.tile(price, (len(unseen), 1))
    here = np.arange(len(unseen)) < len(parts.calibrated_on)
    quality = _forecasts(traffic, parts, fit)[unseen]
    floor = fit_floor(
        quality[here],
        cost[here],
        expected[here],
        guarantee=guarantee,
        within=within,
        confidence=confidence,
    )
    spends, best = (
        price[choices(quality[here], cost[here], t)].mean() for t in (floor.tolerance, 0.0)
    )
    chosen = choices(quality[~here], cost[~here], floor.tolerance)
    broken = breaks(expected[~here], chosen, within)
    return HeldFloor(floor, float(1 - broken.mean()), float(spends), float(best))


def calibrated_card(calibrated: Curve, floor: Floor | None = None) -> dict[str, Any]:
    """What a router's card keeps of a calibration."""
    stops = calibrated.stops()
    card: dict[str, Any] = {"tradeoff": {"tolerances": [round(float(t), 6) for t in stops]}}
    return card if floor is None else {**card, "floor": asdict(floor)}


def calibrated_on(calibrated: Sample) -> Curve:
    """The curve of a sample; SetupError if it is too small to say anything."""
    if len(calibrated.quality) < FEWEST:
        raise SetupError(f"at least {FEWEST} queries with forecasts are needed to calibrate")
    return curve(calibrated)
