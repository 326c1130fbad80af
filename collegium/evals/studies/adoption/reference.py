"""A world's values without a router: best single expert, random, oracle, the full table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.studies.adoption.table import Savings, curve_by_price, true_task_table
from collegium.evals.studies.adoption.worlds import World

MARGIN = 0.01
"""How far below the best single expert a trade-off on a curve may be."""


class Point(NamedTuple):
    """Accuracy and dollars a request."""

    accuracy: float
    usd: float

    def as_json(self) -> dict[str, float]:
        """Accuracy, and dollars per thousand requests."""
        return {"accuracy": self.accuracy, "usd_per_1k": 1000 * self.usd}


@dataclass(frozen=True)
class Reference:
    """What a world's judging prompts give without a router."""

    best: int
    name: str
    """Of the best single expert."""
    single: Point
    random: Point
    oracle: Point
    """The best expert of each prompt, known afterwards; of equals the cheapest."""
    table: Savings
    """Of the table by true task that was fitted to all training marks."""

    @classmethod
    def of(cls, world: World) -> Reference:
        """Judge them all."""
        scores, usd = world.scores[world.judges], world.usd[world.judges]
        best = int(scores.mean(axis=0).argmax())
        single = Point(float(scores[:, best].mean()), float(usd[:, best].mean()))
        curve = curve_by_price(*true_task_table(world), scores, usd)
        return cls(
            best,
            world.experts[best].name,
            single,
            Point(float(scores.mean()), float(usd.mean())),
            _oracle(scores, usd),
            Savings.on(*curve, single.accuracy - MARGIN, single.usd),
        )

    @property
    def floor(self) -> float:
        """The accuracy that a trade-off on a curve has to keep."""
        return self.single.accuracy - MARGIN

    def savings(self, accuracy: Floats, usd: Floats) -> Savings:
        """The most money that a curve saves above the floor."""
        return Savings.on(accuracy, usd, self.floor, self.single.usd)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "best_single": {"name": self.name, **self.single.as_json()},
            "random": self.random.as_json(),
            "oracle": self.oracle.as_json(),
            "table": Point(self.table.accuracy, self.table.usd).as_json(),
        }


def _oracle(scores: Floats, usd: Floats) -> Point:
    right = scores == scores.max(axis=1, keepdims=True)
    cheapest = np.where(right, usd, np.inf).min(axis=1)
    return Point(float(scores.max(axis=1).mean()), float(cheapest.mean()))
