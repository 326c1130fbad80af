"""Choose the next question: the kind and level whose answer is most informative."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Cell = tuple[str, int]
"""A kind and a level."""
EASE = {1: 1.5, 2: 0.0, 3: -1.5}
"""How much a level changes the log-odds of a correct answer, until answers show otherwise."""
SPREAD = 1.5
"""Standard deviation of an expert's abilities by kind, in log-odds; one of all kinds has 2."""
MOST_BELIEVED = 2.0
"""Marks that the other levels and kinds may count for."""
SHARED = 0.35
"""Correlation of the errors of a kind's levels, which share what was expected of them: with it,
simulated levels lie within two standard deviations in 9 of 10 cases."""
_GRID = np.linspace(-6.0, 6.0, 61)


@dataclass(frozen=True)
class Level:
    """An expert's level: the chance of a right answer, how sure that is, and of how many marks."""

    mean: float
    sd: float
    count: int


class Adaptive:
    """Estimates an expert's levels, and chooses the question whose answer is least certain.

    Each kind has an ability, from which its levels follow as in an item response model; what that
    expects of a cell is the prior of the cell's own marks. So one cell's answers tell of the
    others, and are overruled by theirs.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = tuple(cells)
        self._column = {cell: i for i, cell in enumerate(cells)}
        kinds = [kind for kind, _ in cells]
        self._same = np.array([[a == b for b in kinds] for a in kinds], dtype=np.float64)
        ease = np.array([EASE[level] for _, level in cells])
        self._chance = 1 / (1 + np.exp(-(_GRID + ease[:, None])))
        """P(correct) by cell and ability, shape (c, 61)."""
        self._right, self._count = np.zeros(len(cells)), np.zeros(len(cells))

    def told(self, cell: Cell, mark: float) -> None:
        """Count a mark."""
        self._right[self._column[cell]] += mark
        self._count[self._column[cell]] += 1

    def next(
        self, pending: Mapping[Cell, int] | None = None, among: Sequence[Cell] | None = None
    ) -> Cell:
        """The cell of the greatest variance; `pending` questions count as answered as expected."""
        waiting = np.array([(pending or {}).get(cell, 0) for cell in self.cells])
        right, wrong = self._posterior()
        total = right + wrong
        variance = right * wrong / total**2 / (total + waiting + 1)
        cells = self.cells if among is None else among
        return max(cells, key=lambda cell: variance[self._column[cell]])

    def levels(self) -> dict[str, Level]:
        """Each kind's mean over its levels, whichever of them were asked."""
        right, wrong = self._posterior()
        total = right + wrong
        mean, variance = right / total, right * wrong / total**2 / (total + 1)
        found = {}
        for kind in dict.fromkeys(kind for kind, _ in self.cells):
            rows = [i for i, cell in enumerate(self.cells) if cell[0] == kind]
            together = 1 + SHARED * (len(rows) - 1)
            sd = math.sqrt(together * variance[rows].sum()) / len(rows)
            found[kind] = Level(float(mean[rows].mean()), sd, int(self._count[rows].sum()))
        return found

    def _posterior(self) -> tuple[Array, Array]:
        """Right and wrong answers of each cell's beta distribution, shape (c,)."""
        mean, believed = self._expected()
        wrong = self._count - self._right
        return mean * believed + self._right, (1 - mean) * believed + wrong

    def _expected(self) -> tuple[Array, Array]:
        """Return what all other cells predict of each cell, and how many marks that is worth."""
        right, wrong = self._right[:, None], (self._count - self._right)[:, None]
        told = right * np.log(self._chance) + wrong * np.log(1 - self._chance)
        of_kind = self._same @ told
        general = _posterior_of(0.0, 2.0, told.sum(axis=0) - of_kind)
        ability = _posterior_of((general @ _GRID)[:, None], SPREAD, of_kind - told)
        mean = (ability * self._chance).sum(axis=1)
        variance = (ability * (self._chance - mean[:, None]) ** 2).sum(axis=1)
        believed = mean * (1 - mean) / np.maximum(variance, 1e-9) - 1
        return mean, np.clip(believed, 1.0, MOST_BELIEVED)


def _posterior_of(mean: Array | float, sd: float, told: Array) -> Array:
    """Abilities on the grid, given the log-likelihoods (c, 61) of marks; rows sum to one."""
    log = told - 0.5 * ((_GRID - mean) / sd) ** 2
    density = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(density / density.sum(axis=1, keepdims=True))
