"""A lower bound of the 95th percentile of waiting, for a policy that knows the future.

A linear relaxation in time steps: engines may be loaded and kept in parts, requests be served in
parts, answers take no time and engines go at once. What no such plan can reach, no policy can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from collegium.evals.studies.residency.world import Arrival

STEP_PARTS = 4
"""Steps of a load: more of them make the bound tighter and the program larger."""


def least_wait_s(
    arrivals: Sequence[Arrival], *, fit: int, load_s: float, share: float = 0.95
) -> float:
    """Seconds within which no plan can begin more than `share` of the requests: 0 if one can.

    Engines are equal, `fit` of them are in memory at once (loading ones count), one is loaded at
    a time. The result is a multiple of a step, `load_s / STEP_PARTS`, and at most the true bound.
    """
    if load_s == 0:
        return 0.0
    step_s = load_s / STEP_PARTS
    counts = _counts(arrivals, step_s)
    wanted = share * len(arrivals)
    missed, reached = -1, 1  # steps of waiting that do not do, and that do
    while _served(counts, fit, reached) < wanted:  # small windows first: they are small programs
        missed, reached = reached, 2 * reached
    while reached - missed > 1:
        middle = (reached + missed) // 2
        if _served(counts, fit, middle) >= wanted:
            reached = middle
        else:
            missed = middle
    # Waiting `reached` steps is possible in the relaxation, one step less is not even there.
    return max(0, reached - 1) * step_s


def _counts(arrivals: Sequence[Arrival], step_s: float) -> NDArray[np.float64]:
    """Requests by engine and step; step s holds what came in ((s - 1) step_s, s step_s]."""
    names = sorted({a.engine for a in arrivals})
    steps = [math.ceil(a.at / step_s) for a in arrivals]
    counts = np.zeros((len(names), max(steps) + 1))
    for arrival, step in zip(arrivals, steps, strict=True):
        counts[names.index(arrival.engine), step] += 1
    return counts


class _Program:
    """Rows of `a @ x <= b` over blocks of variables, one for each engine and step."""

    def __init__(self, engines: int, steps: int) -> None:
        self.size = engines * steps
        self.at = np.arange(self.size).reshape(engines, steps)
        self._rows: list[NDArray[np.int64]] = []
        self._columns: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] = []
        self.limits: list[NDArray[np.float64]] = []
        self._count = 0

    def add(self, terms: Sequence[tuple[float, NDArray[np.int64]]], limit: float) -> None:
        """For each i: the sum of coefficient · x[block.flat[i]] is at most the limit."""
        number = terms[0][1].size
        rows = self._count + np.arange(number)
        for value, columns in terms:
            self._rows.append(rows)
            self._columns.append(columns.ravel())
            self._values.append(np.full(number, value))
        self.limits.append(np.full(number, limit))
        self._count += number

    def matrix(self, variables: int) -> coo_array:
        """All rows."""
        where = np.concatenate(self._rows), np.concatenate(self._columns)
        shape = self._count, variables
        return coo_array((np.concatenate(self._values), where), shape=shape).tocsr()


def _served(counts: NDArray[np.float64], fit: int, window: int) -> float:
    """The most requests that a plan can begin within so many steps of waiting."""
    counts = np.pad(counts, ((0, 0), (0, window)))  # the last ones may wait, too
    engines, steps = counts.shape
    program = _Program(engines, steps)
    # Present at a step's end, loading at it, loaded within it, served in time.
    present, loading, loaded, served = (program.at + k * program.size for k in range(4))
    together = [(1.0, block[e]) for block in (present, loading) for e in range(engines)]
    program.add(together, float(fit))
    program.add([(1.0, loading[e]) for e in range(engines)], 1.0)
    for step in range(1, steps):  # what is loading now ends within so many steps, once
        soon = loaded[:, step : step + STEP_PARTS]
        ends = [(1.0, soon[:, k]) for k in range(soon.shape[1])]
        program.add([*ends, (-1.0, loading[:, step - 1])], 0.0)
    later, before = present[:, 1:], present[:, :-1]
    program.add([(1.0, later), (-1.0, before), (-1.0, loaded[:, 1:])], 0.0)
    for step in range(1, steps):
        within = loaded[:, step : step + window + 1]
        terms = [(-1.0, within[:, k]) for k in range(within.shape[1])]
        program.add([(1.0, served[:, step]), (-1.0, present[:, step - 1]), *terms], 0.0)
    upper = np.ones((4, engines, steps))
    upper[0, :, 0] = upper[3, :, 0] = 0.0  # the device is empty at the start
    upper[2, :, :STEP_PARTS] = 0.0
    cost = np.concatenate([np.zeros(3 * program.size), -counts.ravel()])
    found = linprog(
        cost,
        A_ub=program.matrix(4 * program.size),
        b_ub=np.concatenate(program.limits),
        bounds=np.stack([np.zeros(upper.size), upper.ravel()], axis=1),
        method="highs",
    )
    return float(-found.fun + counts[:, 0].sum())
