"""Recorded outcomes as a stream of queries in which things change."""

from dataclasses import dataclass

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.routing.recorded import Recorded
from collegium.router.online.features import Projection, fit_projection

COST_WEIGHT = 0.1
"""What an average answer of the dearest model takes from quality."""
DEGRADED = 0.7
"""Share of its right answers that the degraded expert gets wrong."""
DEARER = 0.2
"""What the price rise takes from quality."""


@dataclass(frozen=True)
class World:
    """`steps` queries drawn from recorded test prompts; one expert degrades, then gets dearer.

    Rows of `quality` and `burden` (prompts, models) are the forecasts of the fitted router and
    stay what they were; `reward` and `rating` are what truly comes of a choice at a step.
    """

    name: str
    models: tuple[str, ...]
    X: Floats
    scores: Floats
    forecasts: Floats
    costs: Floats
    stream: Ints
    """The row of each step, shape (steps,)."""
    victim: int
    """The expert that changes: the one that the static router asks most."""
    projection: Projection

    @property
    def steps(self) -> int:
        """How many queries there are."""
        return len(self.stream)

    def phase(self, step: int) -> int:
        """0 as recorded, 1 the victim is degraded, 2 it is well again but dearer."""
        return 3 * step // self.steps

    def quality(self, step: int) -> Floats:
        """The true expected rating of every model at a step, shape (models,)."""
        quality: Floats = self.scores[self.stream[step]].copy()
        if self.phase(step) == 1:
            quality[self.victim] *= 1 - DEGRADED
        return quality

    def burden(self, step: int) -> Floats:
        """What every model's answer takes away at a step, shape (models,)."""
        burden: Floats = self.costs[self.stream[step]].copy()
        if self.phase(step) == 2:
            burden[self.victim] += DEARER
        return burden

    def told(self, step: int) -> Floats:
        """Expected rewards by a router that is told what changed, shape (models,)."""
        row = self.stream[step]
        expected: Floats = self.forecasts[row] - self.costs.mean(axis=0)
        if self.phase(step) == 1:
            expected[self.victim] -= DEGRADED * self.forecasts[row, self.victim]
        if self.phase(step) == 2:
            expected[self.victim] -= DEARER
        return expected

    def stale(self, step: int) -> Floats:
        """Expected rewards by the static router, which is not told, shape (models,)."""
        stale: Floats = self.forecasts[self.stream[step]] - self.costs.mean(axis=0)
        return stale


def world(data: Recorded, *, steps: int, seed: int) -> World:
    """Draw a stream from the test prompts that all models were measured on."""
    rows = data.test[np.isfinite(data.scores[data.test]).all(axis=1)]
    if len(rows) < 2:
        raise SetupError(f"'{data.name}' has no prompts on which all models were measured")
    costs = data.costs[rows]
    costs = COST_WEIGHT * costs / max(float(costs.mean(axis=0).max()), 1e-12)
    stale = data.forecasts[rows] - costs.mean(axis=0)
    victim = int(np.bincount(stale.argmax(axis=1), minlength=len(data.models)).argmax())
    return World(
        data.name,
        data.models,
        data.X[rows],
        data.scores[rows],
        data.forecasts[rows],
        costs,
        np.random.default_rng([seed, 1]).integers(len(rows), size=steps),
        victim,
        fit_projection(data.X[data.train]),
    )
