"""The bar: a table of the best expert by true task, fitted to all training marks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collegium.evals.adoption.worlds import World
from collegium.evals.arrays import Floats, Ints

PULL = 6.0
"""Pseudo-counts of the overall mean in each task."""
PRICES = np.r_[0.0, np.geomspace(0.3, 3000, 150)]
"""P(correct) that a dollar is worth, along the curve."""


@dataclass(frozen=True)
class Savings:
    """The most money that a curve saves while it is accurate enough; nothing where it never is."""

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


def task_table(world: World, rows: Ints, names: Ints) -> tuple[Floats, Floats]:
    """Rates and tokens by `names` (n) of all prompts, from marked `rows`: both (names, e)."""
    count = int(names.max()) + 1
    found = []
    for values in (world.scores, world.output_tokens):
        usual = values[rows].mean(axis=0)
        table = np.tile(usual, (count, 1))
        for name in np.unique(names[rows]):
            mine = values[rows[names[rows] == name]]
            table[name] = (mine.sum(axis=0) + PULL * usual) / (len(mine) + PULL)
        found.append(table)
    return found[0], found[1]


def true_task_table(world: World) -> tuple[Floats, Floats]:
    """What the table expects of the judging prompts: quality and dollars, both (n, e)."""
    tasks = np.unique(world.tasks, return_inverse=True)[1]
    return by_table(world, world.train, tasks)


def by_table(world: World, rows: Ints, names: Ints) -> tuple[Floats, Floats]:
    """A table's forecasts for the judging prompts, fitted to marked `rows`."""
    rates, tokens = task_table(world, rows, names)
    judges = world.judges
    price = np.array([(e.input_price, e.output_price) for e in world.experts], dtype=float)
    spent = tokens[names[judges]] * price[:, 1]
    cost = (world.input_tokens[judges][:, None] * price[:, 0] + spent) / 1_000_000
    return rates[names[judges]], np.asarray(cost)


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
