"""Results: one row per world, number of marked prompts, source and policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.studies.adoption.draws import POLICIES, Curve, Draw, Marking, draw
from collegium.evals.studies.adoption.reference import Point, Reference
from collegium.evals.studies.adoption.worlds import World
from collegium.router.vectors import Encoder

CURVE = "curve"
BY_REFERENCE = Marking()
VIOLATION = 0.015
RESAMPLES = 200
ANONYMOUS = "anonymous"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One line of the report. Money is dollars, `saved` a share of the best single expert's."""

    world: str
    replays: int
    labels: str
    applications: bool
    policy: str
    accuracy: float
    usd_per_1k: float
    best_single_accuracy: float
    best_single_usd_per_1k: float
    saved: float
    saved_interval: tuple[float, float]
    table_saved: float
    violations: float
    draws: int
    accuracy_interval: tuple[float, float] = (np.nan, np.nan)
    further: dict[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of the saving of the table by true task that was fitted to all training prompts."""
        return self.saved / self.table_saved if self.table_saved > 0 else np.nan

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        found = asdict(self)
        return {**found.pop("further"), **found, "share_of_table": self.share}


def play(
    world: World,
    X: Floats,
    encoder: Encoder,
    replays: int,
    *,
    marking: Marking = BY_REFERENCE,
    draws: int,
    seed: int = 0,
    tell: Tell = lambda words: None,
) -> Iterator[Row]:
    """The rows of one number of marked prompts; X has the embeddings of all prompts (n, d)."""
    random = np.random.default_rng(seed + replays)
    replays = min(replays, len(world.train))
    if not replays or (replays == len(world.train) and marking == BY_REFERENCE):
        draws = 1  # every draw is the same
    found = []
    for number in range(draws):
        rows = random.permutation(world.train)[:replays]
        found.append(draw(world, X, encoder, rows, marking, seed + number))
        tell(f"{world.name}, {replays} replays, {marking.labels}: draw {number + 1} of {draws}")
    told = any(a is not None for a in world.applications)
    world = replace(world, name=f"{world.name}{marking.told}")
    yield from _rows(_Common(world, replays, marking, told, Reference.of(world)), found)


@dataclass(frozen=True)
class _Common:
    """What the rows of one number of marked prompts share."""

    world: World
    replays: int
    marking: Marking
    applications: bool
    reference: Reference


def _rows(common: _Common, found: Sequence[Draw]) -> Iterator[Row]:
    further = {
        "ece": float(np.mean([d.ece for d in found])),
        "calibration": np.mean([d.calibration for d in found], axis=0).round(4).tolist(),
        "reference": common.reference.as_json(),
    }
    yield _curve_row(common, CURVE, [d.curve for d in found], further)
    for policy in POLICIES:
        yield _policy_row(common, policy, found)
    for table in found[0].tables:
        yield _curve_row(common, table, [d.tables[table] for d in found], {})


def _curve_row(
    common: _Common, policy: str, curves: Sequence[Curve], further: dict[str, Any]
) -> Row:
    """The point of the mean curve that saves most, with an interval over resampled draws."""
    accuracies, costs = (np.array(part) for part in zip(*curves, strict=True))
    mean = common.reference.savings(accuracies.mean(axis=0), costs.mean(axis=0))
    random = np.random.default_rng(0)
    saved = []
    for _ in range(RESAMPLES):
        again = random.integers(len(curves), size=len(curves))
        sample = accuracies[again].mean(axis=0), costs[again].mean(axis=0)
        saved.append(common.reference.savings(*sample).saved)
    drawn = {
        "accuracy_at_0": float(accuracies[:, 0].mean()),
        "curve": {
            "accuracy": accuracies.mean(axis=0).round(4).tolist(),
            "usd_per_1k": (1000 * costs.mean(axis=0)).round(4).tolist(),
            "accuracy_sd": accuracies.std(axis=0).round(4).tolist(),
        },
    }
    return _row(
        common,
        policy,
        Point(mean.accuracy, mean.usd),
        mean.saved,
        np.array(saved),
        draws=len(curves),
        further=drawn | further,
    )


def _policy_row(common: _Common, policy: str, found: Sequence[Draw]) -> Row:
    """The mean of the draws, with an interval that most single draws lie in."""
    pairs = np.array([d.policies[policy] for d in found])
    saved = 1 - pairs[:, 1] / common.reference.single.usd
    floor = common.reference.single.accuracy - VIOLATION
    return _row(
        common,
        policy,
        Point(float(pairs[:, 0].mean()), float(pairs[:, 1].mean())),
        float(saved.mean()),
        saved,
        draws=len(found),
        violations=float((pairs[:, 0] < floor).mean()),
        further={
            "accuracy_sd": float(pairs[:, 0].std()),
            "application_losses": _losses(common, [d.scores[policy] for d in found]),
        },
    )


def _losses(common: _Common, scores: Sequence[Floats]) -> dict[str, float]:
    """Points below the best single expert by application, on average over draws."""
    world, best = common.world, common.reference.best
    lost = 100 * (world.scores[world.judges, best] - np.mean(scores, axis=0))
    asking = np.array([world.applications[row] or ANONYMOUS for row in world.judges])
    return {str(name): round(float(lost[asking == name].mean()), 3) for name in np.unique(asking)}


def _row(
    common: _Common,
    policy: str,
    point: Point,
    saved: float,
    drawn: Floats,
    *,
    draws: int,
    violations: float = np.nan,
    further: dict[str, Any],
) -> Row:
    reference = common.reference
    return Row(
        world=common.world.name,
        replays=common.replays,
        labels=common.marking.labels,
        applications=common.applications,
        policy=policy,
        accuracy=point.accuracy,
        usd_per_1k=1000 * point.usd,
        best_single_accuracy=reference.single.accuracy,
        best_single_usd_per_1k=1000 * reference.single.usd,
        saved=saved,
        saved_interval=(float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))),
        table_saved=reference.table.saved,
        violations=violations,
        draws=draws,
        further={
            **further,
            "confirmed": common.marking.confirmed,
            "raced_within": common.marking.raced,
        },
    )
