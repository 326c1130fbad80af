"""One fit to some marked prompts, evaluated with the reference tables on the test prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.studies.adoption.marks import Labels, corrected, marked
from collegium.evals.studies.adoption.playing import Adopted
from collegium.evals.studies.adoption.racing import raced
from collegium.evals.studies.adoption.reference import Point
from collegium.evals.studies.adoption.table import by_table, curve_by_price, numbered
from collegium.evals.studies.adoption.worlds import World
from collegium.router.beliefs.promise import GRID, LEAD, best_single, worths
from collegium.router.decision import Decision
from collegium.router.tradeoff import choices
from collegium.router.training import expected_calibration_error
from collegium.router.vectors import Encoder

POLICIES = {"auto": "auto", "balanced": "collegium/balanced", "cheap": "collegium/cheap"}
TRUE_TASKS, APPLICATIONS = "task_table", "application_table"
CALIBRATION_BINS = 10
Curve = tuple[Floats, Floats]
"""Mean accuracy and dollars, point by point."""


@dataclass(frozen=True)
class Draw:
    """Accuracy and dollars along the curve and of each policy, and how far forecasts came true."""

    curve: Curve
    policies: dict[str, Point]
    scores: dict[str, Floats]
    """Of each judging prompt, by policy."""
    ece: float = np.nan
    calibration: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    """Mean forecast and outcome of bins of equal mass, shape (bins, 2)."""
    tables: dict[str, Curve] = field(default_factory=dict)
    """Curves of tables that were fitted to the same marks."""


@dataclass(frozen=True)
class Marking:
    """How a draw's prompts are marked: by which source, with how many marks confirmed by a person,
    and `raced` within this share of what asking everybody would cost.
    """

    labels: Labels = "reference"
    confirmed: int = 0
    raced: float | None = None

    @property
    def told(self) -> str:
        """What a world's name gets behind it, so that its rows are not taken for others."""
        raced = "" if self.raced is None else f", raced for {self.raced:.0%} of the money"
        return f"{raced}, {self.confirmed} confirmed" if self.confirmed else raced

    def of(self, world: World, rows: Ints, seed: int) -> tuple[Ints, Floats]:
        """The prompts that get marks, and the marks (n, e), NaN for experts that a race left
        out.
        """
        random = np.random.default_rng(seed)
        if self.raced is not None:
            return self._raced(world, rows, seed)
        marks = marked(world, rows, self.labels, random)
        if self.confirmed:
            marks = corrected(world, rows, marks, self.confirmed, random)
        return rows, marks

    def _raced(self, world: World, rows: Ints, seed: int) -> tuple[Ints, Floats]:
        """As many dollars buy more prompts of fewer experts."""
        budget = (self.raced or 0.0) * float(world.usd[rows].sum())
        others = np.setdiff1d(world.train, rows)
        pool = np.r_[rows, np.random.default_rng(seed).permutation(others)[: 2 * len(rows)]]
        bought = raced(world, pool, world.scores[pool], budget, seed)
        asked = ~np.isnan(bought).all(axis=1)
        return pool[asked], bought[asked]


def draw(
    world: World, X: Floats, encoder: Encoder, rows: Ints, marking: Marking, seed: int
) -> Draw:
    """Adopt a router with marks of `rows` and judge it."""
    if not len(rows):
        return _day_one(world, X)
    judges = world.judges
    rows, marks = marking.of(world, rows, seed)
    adopted = Adopted.on(world, rows, encoder, scores=marks)
    policies, scores, decisions = _decided(adopted, X)
    quality, cost = forecasts(adopted, decisions)
    truth = world.scores[judges]
    incumbent = best_single(marks, world.usd[rows])
    return Draw(
        _curve(quality, cost, truth, world.usd[judges], usual=incumbent, marks=len(rows)),
        policies,
        scores,
        expected_calibration_error(quality.ravel(), truth.ravel(), CALIBRATION_BINS),
        _calibration(quality.ravel(), truth.ravel()),
        {
            name: curve_by_price(*by_table(world, rows, marks, lines), truth, world.usd[judges])
            for name, lines in ({} if np.isnan(marks).any() else _tables(world)).items()
        },
    )


def _day_one(world: World, X: Floats) -> Draw:
    """Without marks there is nothing to trade: the whole curve is what `auto` gives."""
    policies, scores, _ = _decided(Adopted.on_day_one(world), X)
    accuracy, usd = (np.full(len(GRID), value) for value in policies["auto"])
    return Draw((accuracy, usd), policies, scores)


def _decided(
    adopted: Adopted, X: Floats
) -> tuple[dict[str, Point], dict[str, Floats], list[Decision]]:
    """What each policy gives, score by score, and the last policy's decisions."""
    world, judges = adopted.world, adopted.world.judges
    readings = adopted.readings(X[judges], judges)
    each = np.arange(len(judges))
    points, scores, decisions = {}, {}, []
    for name, model in POLICIES.items():
        decisions = adopted.decisions(readings, judges, model)
        chosen = adopted.chosen(decisions)
        scores[name] = world.scores[judges][each, chosen]
        usd = world.usd[judges][each, chosen]
        points[name] = Point(float(scores[name].mean()), float(usd.mean()))
    return points, scores, decisions


def forecasts(adopted: Adopted, decisions: Sequence[Decision]) -> tuple[Floats, Floats]:
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


def _curve(
    quality: Floats, cost: Floats, scores: Floats, usd: Floats, *, usual: int, marks: int
) -> Curve:
    """Quality is traded for money as `balanced` does, in shares of the usual expert's price."""
    accuracy, spent = np.empty(len(GRID)), np.empty(len(GRID))
    each, price = np.arange(len(quality)), float(usd[:, usual].mean())
    lead = LEAD / float(np.sqrt(marks))
    for i, given_up in enumerate(GRID):
        worth = worths(quality, cost, usual, lead=lead, price=given_up / price)
        chosen = choices(worth, cost, 0.0)
        accuracy[i], spent[i] = scores[each, chosen].mean(), usd[each, chosen].mean()
    return accuracy, spent


def _calibration(forecast: Floats, outcome: Floats) -> Floats:
    order = np.argsort(forecast, kind="stable")
    bins = np.array_split(order, CALIBRATION_BINS)
    return np.array([(forecast[part].mean(), outcome[part].mean()) for part in bins if len(part)])


def _tables(world: World) -> dict[str, Ints]:
    """The line of each prompt in a table by application, and by true task where that is another."""
    tasks, applications = numbered(world.tasks), numbered(world.applications)
    if not any(world.applications):
        return {TRUE_TASKS: tasks}
    pairs = len(np.unique(tasks * len(tasks) + applications))
    if pairs == tasks.max() + 1 == applications.max() + 1:
        return {APPLICATIONS: applications}  # each application has one task, and all of it
    return {APPLICATIONS: applications, TRUE_TASKS: tasks}
