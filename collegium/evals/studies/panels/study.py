"""Which ways to answer are on the quality-cost frontier, and whether `auto` finds them.

Everything that is fitted (forecasts, error correlations, profiles) is fitted on training rows, the
forecasts of which are cross-fitted; test rows are only judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import Bootstrap, Interval
from collegium.evals.routing.recorded import Recorded
from collegium.evals.studies.panels.auto import PRICES, SINGLE, auto_played, nested_price, profiled
from collegium.evals.studies.panels.hull import hull_at
from collegium.evals.studies.panels.replay import Played, Progress, Replay, Texts, Way
from collegium.router.panels.profiles import Profiles

WAYS = (
    SINGLE,
    *(Way("vote", k, cap) for k in (3, 5) for cap in (0.1, 0.3, 1.0, None)),
    *(
        Way("cascade", 3, cap, threshold)
        for cap in (0.3, None)
        for threshold in (0.6, 0.7, 0.8, 0.9, 0.95)
    ),
)
"""What recorded answers can judge: modes that need no further words of anybody."""
TOLERANCES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True)
class Point:
    """One way to answer, judged: accuracy and mean dollars, each with its interval."""

    name: str
    kind: str
    """`expert`, `routing` (one expert a query), `panel` or `auto`."""
    accuracy: Interval
    cost_usd: float
    over_equal_cost: Interval
    """Less the best mix of single experts for the same money."""
    over_routing: Interval
    """Less single routing for the same money."""


@dataclass(frozen=True)
class Fitted:
    """The cascade for a cost target: the most accurate on training rows that keeps it there."""

    name: str
    target_usd: float
    train_cost_usd: float
    test_cost_usd: float
    test_accuracy: Interval


@dataclass(frozen=True)
class Study:
    """A set's points, and how far `auto` lies from the hull of everything that is fixed."""

    data: str
    train: int
    test: int
    points: tuple[Point, ...]
    cascade: Fitted | None
    auto_over_hull: dict[str, Interval]
    """By auto's point: its accuracy less that of the fixed ways' hull for the same money."""
    profiles: Profiles
    price: float
    """Of a multiple of the single answer's cost, chosen on training rows: see `nested_price`."""


def auto_name(price: float) -> str:
    """As tables show `auto` at a price."""
    return f"auto at {price:g} a multiple"


def study(
    data: Recorded,
    texts: Texts,
    *,
    cascade_cost: float | None = None,
    seed: int = 0,
    progress: Callable[[str], Progress],
) -> Study:
    """Play all ways on the training rows, learn when which pays, judge on the test rows."""
    train, test = _answered(data, data.train), _answered(data, data.test)
    known = np.nanmean(data.costs[train], axis=0)
    correlations = error_correlations(data, train)
    replay = Replay(data, texts, known, Profiles(correlations=correlations))
    learnt = {way: replay.play(way, train, progress(way.name)) for way in WAYS}
    judged = {way: replay.play(way, test, progress(way.name)) for way in WAYS}
    best = np.array([data.forecasts[row].max() for row in range(len(data.forecasts))])
    profiles = Profiles(profiled(learnt, best[train], seed=seed), correlations)
    columns = _columns(data, test, known, judged)
    columns += [
        _Column(auto_name(price), "auto", auto_played(profiles.ranges, judged, best[test], price))
        for price in PRICES
    ]
    fitted = None
    if cascade_cost is not None:
        fitted = fitted_cascade(learnt, judged, cascade_cost, seed=seed)
    price = nested_price(learnt, best[train], seed=seed)
    return _judged(data.name, len(train), columns, profiles, fitted, price, seed=seed)


def fitted_cascade(
    learnt: dict[Way, Played], judged: dict[Way, Played], target_usd: float, *, seed: int
) -> Fitted:
    """Fit threshold and members' cap to a mean cost; a SetupError says the least that is needed."""
    costs = {w: float(p.costs.mean()) for w, p in learnt.items() if w.mode == "cascade"}
    within = [way for way, cost in costs.items() if cost <= target_usd]
    if not within:
        least = min(costs.values())
        raise SetupError(f"no cascade costs ${target_usd:g} a query; the cheapest ${least:.6f}")
    best = max(within, key=lambda way: (learnt[way].scores.mean(), -costs[way]))
    scores = Bootstrap(judged[best].scores[:, None], seed=seed).mean(0)
    return Fitted(best.name, target_usd, costs[best], float(judged[best].costs.mean()), scores)


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    played: Played


def error_correlations(data: Recorded, rows: Ints) -> dict[str, dict[str, float]]:
    """Of what is left of two models' outcomes after their forecasts: do they err together?"""
    left = np.nan_to_num(data.scores[rows] - data.forecasts[rows])
    table = np.nan_to_num(np.corrcoef(left.T))
    return {
        one: {other: round(float(table[i, j]), 4) for j, other in enumerate(data.models) if i != j}
        for i, one in enumerate(data.models)
    }


def _columns(data: Recorded, test: Ints, known: Floats, judged: dict[Way, Played]) -> list[_Column]:
    experts = [
        _Column(name, "expert", Played(data.scores[test, i], data.costs[test, i]))
        for i, name in enumerate(data.models)
    ]
    routing = [_routed(data, test, known, tolerance) for tolerance in TOLERANCES]
    panels = [_Column(w.name, "panel", judged[w]) for w in WAYS if w is not SINGLE]
    return [*experts, *routing, *panels]


def _routed(data: Recorded, rows: Ints, known: Floats, tolerance: float) -> _Column:
    """The cheapest expert whose forecast is within the tolerance of the best."""
    forecasts = data.forecasts[rows]
    enough = forecasts >= forecasts.max(axis=1, keepdims=True) - tolerance
    chosen = np.where(enough, known, np.inf).argmin(axis=1)
    played = Played(data.scores[rows, chosen], data.costs[rows, chosen])
    return _Column(f"single, tolerance {tolerance:g}", "routing", played)


def _judged(
    name: str,
    train: int,
    columns: Sequence[_Column],
    profiles: Profiles,
    fitted: Fitted | None,
    price: float,
    *,
    seed: int,
) -> Study:
    table = np.stack([c.played.scores for c in columns] + [c.played.costs for c in columns], axis=1)
    bootstrap, n = Bootstrap(table, seed=seed), len(columns)
    kinds = np.array([column.kind for column in columns])

    def over(index: int, rivals: Ints) -> Interval:
        """Accuracy less the rivals' hull at the same cost; the hull is redrawn in each resample."""
        found = bootstrap.interval(
            lambda m: m[..., index] - hull_at(m[..., rivals], m[..., n + rivals], m[..., n + index])
        )
        assert found is not None
        return found

    experts, routing = np.flatnonzero(kinds == "expert"), np.flatnonzero(kinds == "routing")
    fixed = np.flatnonzero(kinds != "auto")
    points = tuple(
        Point(
            column.name,
            column.kind,
            bootstrap.mean(index),
            float(bootstrap.means[n + index]),
            over(index, experts),
            over(index, routing),
        )
        for index, column in enumerate(columns)
    )
    hull = {columns[int(i)].name: over(int(i), fixed) for i in np.flatnonzero(kinds == "auto")}
    return Study(name, train, len(table), points, fitted, hull, profiles, price)


def _answered(data: Recorded, rows: Ints) -> Ints:
    """Rows that every model answered: else the ways would be judged on different queries."""
    whole = np.isfinite(data.scores[rows]).all(axis=1) & np.isfinite(data.costs[rows]).all(axis=1)
    return np.asarray(rows[whole], dtype=np.int64)
