"""The reference: tables of the experts' rates by true task or application, with prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.studies.adoption.worlds import World

PULL = 6.0
"""Pseudo-counts of the overall mean in each task."""
PRICES = np.r_[0.0, np.geomspace(0.3, 3000, 150)]
"""P(correct) that a dollar is worth, along the curve."""


@dataclass(frozen=True)
class Savings:
    """The most money that a curve saves while it is accurate enough; nothing if it never is."""

    saved: float
    accuracy: float
    usd: float

    @classmethod
    def on(cls, accuracy: Floats, usd: Floats, floor: float, usual: float) -> Savings:
        """Along a curve (points,), at an accuracy of at least `floor`, against `usual` dollars."""
        able = np.flatnonzero(accuracy >= floor)
        if not len(able):
            return cls(0.0, float(accuracy[0]), float(usd[0]))
        best = int(able[usd[able].argmin()])
        return cls(max(0.0, 1 - float(usd[best]) / usual), float(accuracy[best]), float(usd[best]))


def true_task_table(world: World) -> tuple[Floats, Floats]:
    """What the table expects of the judging prompts: quality and dollars, both (n, e)."""
    return by_table(world, world.train, world.scores[world.train], numbered(world.tasks))


def numbered(names: Sequence[str | None]) -> Ints:
    """A number for each name, the same for the same; all that have none count as one."""
    return np.unique([name or "" for name in names], return_inverse=True)[1]


def by_table(world: World, rows: Ints, marks: Floats, names: Ints) -> tuple[Floats, Floats]:
    """A table's forecasts for the judging prompts, fitted to the `marks` (rows, e) of `rows`.

    `names` (n) says which line of the table each prompt of the world has.
    """
    rates = shrunk(marks, names[rows], int(names.max()) + 1)
    tokens = shrunk(world.output_tokens[rows], names[rows], int(names.max()) + 1)
    judges = world.judges
    price = np.array([(e.input_price, e.output_price) for e in world.experts], dtype=float)
    spent = tokens[names[judges]] * price[:, 1]
    cost = (world.input_tokens[judges][:, None] * price[:, 0] + spent) / 1_000_000
    return rates[names[judges]], np.asarray(cost)


def shrunk(values: Floats, names: Ints, count: int) -> Floats:
    """Means (count, e) of the values (n, e) by name (n), pulled toward the overall mean."""
    usual = values.mean(axis=0)
    table = np.tile(usual, (count, 1))
    for name in np.unique(names):
        mine = values[names == name]
        table[name] = (mine.sum(axis=0) + PULL * usual) / (len(mine) + PULL)
    return table


def curve_by_price(
    quality: Floats, cost: Floats, scores: Floats, usd: Floats
) -> tuple[Floats, Floats]:
    """Mean accuracy and dollars where quality is traded for money at each of `PRICES`."""
    rows = np.arange(len(quality))
    accuracy, spent = np.empty(len(PRICES)), np.empty(len(PRICES))
    for i, price in enumerate(PRICES):
        chosen = (quality - price * cost).argmax(axis=1)
        accuracy[i], spent[i] = scores[rows, chosen].mean(), usd[rows, chosen].mean()
    return accuracy, spent
