"""What adopting a router gave: one row a world, number of marked prompts, source and policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from collegium.evals.adoption.marks import Labels
from collegium.evals.adoption.playing import Adopted
from collegium.evals.adoption.table import Savings, curve_by_price, true_task_table
from collegium.evals.adoption.worlds import World
from collegium.evals.arrays import Floats, Ints
from collegium.router.beliefs.promise import GRID, TOLERANCE
from collegium.router.tradeoff import choices
from collegium.router.training import expected_calibration_error
from collegium.router.vectors import Encoder

POLICIES = {"auto": "auto", "balanced": "collegium/balanced", "cheap": "collegium/cheap"}
MARGIN = 0.01
"""How far below the best single expert a trade-off on the curve may be."""
VIOLATION = 0.015
CALIBRATION_BINS = 10
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


@dataclass(frozen=True)
class _Common:
    """What the rows of one number of marked prompts share."""

    world: str
    replays: int
    labels: str
    applications: bool


@dataclass(frozen=True)
class Reference:
    """What a world's judging prompts give without a router."""

    best: int
    accuracy: float
    usd: float
    random: float
    oracle: float
    table: Savings

    @classmethod
    def of(cls, world: World) -> Reference:
        """Best single expert, random, oracle, and the table by true task of all training marks."""
        scores, usd = world.scores[world.judges], world.usd[world.judges]
        best = int(scores.mean(axis=0).argmax())
        accuracy, spent = float(scores[:, best].mean()), float(usd[:, best].mean())
        accuracies, costs = curve_by_price(*true_task_table(world), scores, usd)
        table = Savings.on(accuracies, costs, accuracy - MARGIN, spent)
        return cls(
            best, accuracy, spent, float(scores.mean()), float(scores.max(axis=1).mean()), table
        )


@dataclass(frozen=True)
class Draw:
    """One fit: accuracy and dollars along the curve and of each policy, and its calibration."""

    curve: tuple[Floats, Floats]
    policies: dict[str, tuple[float, float]]
    ece: float
    by_application: dict[str, Floats]


def play(
    world: World,
    X: Floats,
    encoder: Encoder,
    replays: int,
    *,
    labels: Labels = "reference",
    draws: int,
    seed: int = 0,
    tell: Tell = lambda words: None,
) -> Iterator[Row]:
    """The rows of one number of marked prompts; X has the embeddings of all prompts (n, d)."""
    reference = Reference.of(world)
    random = np.random.default_rng(seed + replays)
    replays = min(replays, len(world.train))
    if not replays or (replays == len(world.train) and not labels.endswith("judge")):
        draws = 1  # every draw is the same
    found = []
    for number in range(draws):
        rows = random.permutation(world.train)[:replays]
        found.append(_draw(world, X, encoder, rows, labels, seed + number))
        tell(f"{world.name}, {replays} replays, {labels}: draw {number + 1} of {draws}")
    told = any(a is not None for a in world.applications)
    common = _Common(world.name, replays, labels, told)
    yield _curve_row(common, found, reference)
    for policy in POLICIES:
        yield _policy_row(common, policy, found, reference)


def _draw(world: World, X: Floats, encoder: Encoder, rows: Ints, labels: Labels, seed: int) -> Draw:
    judges = world.judges
    if len(rows):
        adopted = Adopted.on(world, rows, encoder, labels=labels, seed=seed)
    else:
        adopted = Adopted.on_day_one(world)
    readings = adopted.readings(X[judges], judges)
    scores, usd = world.scores[judges], world.usd[judges]
    each = np.arange(len(judges))
    policies, differences = {}, {}
    for name, model in POLICIES.items():
        decisions = adopted.decisions(readings, judges, model)
        chosen = adopted.chosen(decisions)
        policies[name] = float(scores[each, chosen].mean()), float(usd[each, chosen].mean())
        differences[name] = scores[each, chosen]
    quality, cost = forecasts(adopted, decisions)
    accuracy = np.full(len(GRID), policies["auto"][0])
    spent = np.full(len(GRID), policies["auto"][1])
    if not len(rows):  # without marks there is nothing to trade
        return Draw((accuracy, spent), policies, np.nan, differences)
    usual = float(usd[:, world.scores[rows].mean(axis=0).argmax()].mean())
    for i, given_up in enumerate(GRID):
        worth = quality - given_up / usual * cost
        chosen = choices(worth, cost, TOLERANCE * float(given_up))
        accuracy[i], spent[i] = scores[each, chosen].mean(), usd[each, chosen].mean()
    ece = expected_calibration_error(quality.ravel(), scores.ravel(), CALIBRATION_BINS)
    return Draw((accuracy, spent), policies, ece, differences)


def forecasts(adopted: Adopted, decisions: Sequence[Any]) -> tuple[Floats, Floats]:
    """Quality and dollars that decisions were made with, shape (n, e), in the world's order."""
    number = {e.name: i for i, e in enumerate(adopted.world.experts)}
    quality = np.zeros((len(decisions), len(number)))
    cost = np.zeros_like(quality)
    for row, decision in enumerate(decisions):
        for forecast in decision.forecasts:
            column = number[forecast.expert]
            quality[row, column] = forecast.quality or 0.0
            cost[row, column] = forecast.cost_usd or 0.0
    return quality, cost


def _curve_row(common: _Common, found: list[Draw], reference: Reference) -> Row:
    accuracies = np.array([d.curve[0] for d in found])
    costs = np.array([d.curve[1] for d in found])
    floor = reference.accuracy - MARGIN
    mean = Savings.on(accuracies.mean(axis=0), costs.mean(axis=0), floor, reference.usd)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(200):
        again = random.integers(len(found), size=len(found))
        curve = accuracies[again].mean(axis=0), costs[again].mean(axis=0)
        drawn.append(Savings.on(*curve, floor, reference.usd).saved)
    return _row(
        common,
        "curve",
        (mean.accuracy, mean.usd),
        mean.saved,
        (float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))),
        reference,
        np.nan,
        len(found),
        further={
            "accuracy_at_0": float(accuracies[:, 0].mean()),
            "ece": float(np.mean([d.ece for d in found])),
            "curve": {
                "accuracy": accuracies.mean(axis=0).round(4).tolist(),
                "usd_per_1k": (1000 * costs.mean(axis=0)).round(4).tolist(),
                "accuracy_sd": accuracies.std(axis=0).round(4).tolist(),
            },
        },
    )


def _policy_row(common: _Common, policy: str, found: list[Draw], reference: Reference) -> Row:
    pairs = np.array([d.policies[policy] for d in found])
    saved = 1 - pairs[:, 1] / reference.usd
    spread = np.quantile(saved, (0.025, 0.975))
    return _row(
        common,
        policy,
        (float(pairs[:, 0].mean()), float(pairs[:, 1].mean())),
        float(saved.mean()),
        (float(spread[0]), float(spread[1])),
        reference,
        float((pairs[:, 0] < reference.accuracy - VIOLATION).mean()),
        len(found),
        further={"accuracy_sd": float(pairs[:, 0].std())},
    )


def _row(
    common: _Common,
    policy: str,
    pair: tuple[float, float],
    saved: float,
    interval: tuple[float, float],
    reference: Reference,
    violations: float,
    draws: int,
    further: dict[str, Any],
) -> Row:
    return Row(
        world=common.world,
        replays=common.replays,
        labels=common.labels,
        applications=common.applications,
        policy=policy,
        accuracy=pair[0],
        usd_per_1k=1000 * pair[1],
        best_single_accuracy=reference.accuracy,
        best_single_usd_per_1k=1000 * reference.usd,
        saved=saved,
        saved_interval=interval,
        table_saved=reference.table.saved,
        violations=violations,
        draws=draws,
        further=further,
    )
