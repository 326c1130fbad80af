"""Spend a replay budget as a learning run does: in rounds, dropping hopeless experts."""

from __future__ import annotations

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.studies.adoption.worlds import World
from collegium.router.learning.race import FIRST, ROUND, Race
from collegium.router.learning.sampling import sample


def raced(world: World, rows: Ints, marks: Floats, budget_usd: float, seed: int = 0) -> Floats:
    """Return the marks (rows, e) that a race within a budget pays for, NaN for the others.

    `marks` are those that asking everybody would give.
    """
    names = [world.applications[row] for row in rows]
    order = sample(names, len(rows), seed=seed)
    usd, bought = world.usd[rows], np.full(marks.shape, np.nan)
    race = Race([e.name for e in world.experts], seed=seed)
    places = {name: [row for row in order if names[row] == name] for name in dict.fromkeys(names)}
    done = dict.fromkeys(places, 0)
    spent = 0.0
    while todo := _round(places, done):
        survivors = race.survivors(bought, usd, names) if spent else {}
        for row, name in todo:
            for column, expert in enumerate(world.experts):
                if survivors and expert.name not in survivors[name]:
                    continue
                if spent + usd[row, column] > budget_usd:
                    return bought
                bought[row, column] = marks[row, column]
                spent += usd[row, column]
    return bought


def _round(
    places: dict[str | None, list[int]], done: dict[str | None, int]
) -> list[tuple[int, str | None]]:
    """The prompts of the next round, applications in turn; counts them as done."""
    found = []
    for name, own in places.items():
        step = ROUND if done[name] else FIRST
        found += [(k, row, name) for k, row in enumerate(own[done[name] : done[name] + step])]
        done[name] += step
    return [(row, name) for _, row, name in sorted(found, key=lambda item: item[0])]


def dollars(world: World, rows: Ints, bought: Floats) -> float:
    """What the marks that were bought cost."""
    return float(np.where(np.isnan(bought), 0.0, world.usd[rows]).sum())
