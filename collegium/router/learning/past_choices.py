"""Compare the choices that were made with the best single expert and with random choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.router.beliefs.promise import GRID, best_single
from collegium.router.learning.report import (
    GUESSED_SD,
    Curve,
    Held,
    Z,
    completed,
    expert_rows,
    guessed,
    random_at,
)

Array = NDArray[np.float64]
BINS = 10
FEWEST_OF_A_BIN = 5


@dataclass(frozen=True)
class PastChoices:
    """Figures of the choices that were made; `points` are hundredths of a mark."""

    best_single: str
    best_single_quality: float
    best_single_usd_per_1k: float | None
    quality: float
    random_at_equal_cost: float
    above_random_points: float
    above_random_margin_points: float
    figures: dict[str, Any]
    experts: list[dict[str, Any]]


def against_best_single(held: Held, chosen: NDArray[np.intp]) -> PastChoices:
    """Compare who answered (n) with the best single expert and a random one at the same cost.

    Intervals are 95 %: chance by the bootstrap, and what forecasts in the place of missing marks
    leave open.
    """
    scores = completed(held)
    best = best_single(scores, held.cost)
    curve = Curve.of(held, scores, best, GRID[:1])  # of its trade-offs none is asked for
    each = np.arange(len(scores))
    got, spent = scores[each, chosen], held.usd[each, chosen]
    unmeasured = guessed(held, chosen, best)
    figures = curve.figures(scores[each, best] - got, spent, unmeasured)
    rows = expert_rows(held, scores)
    random = random_at(scores.mean(axis=0), held.usd.mean(axis=0), float(spent.mean()))
    ahead = np.array(
        [
            w @ got - random_at(w @ scores, w @ held.usd, float(w @ spent))
            for w in curve.weights
        ]
    )  # fmt: skip
    missing = float(np.isnan(held.scores).mean())
    margin = Z * float(np.hypot(ahead.std(), GUESSED_SD * missing))
    return PastChoices(
        best_single=held.names[best],
        best_single_quality=rows[best]["quality"],
        best_single_usd_per_1k=rows[best]["usd_per_1k"],
        quality=round(float(got.mean()), 4),
        random_at_equal_cost=round(random, 4),
        above_random_points=round(100 * (float(got.mean()) - random), 2),
        above_random_margin_points=round(100 * margin, 2),
        figures=figures,
        experts=rows,
    )


def calibration(forecast: Array, score: Array) -> dict[str, Any]:
    """Compare forecasts (n) with marks (n): bins of equal counts, and the expected calibration
    error.

    Each bin has a 95 % interval of its mean mark (Wilson, for marks of 0 and 1; for others it is
    wider than need be).
    """
    count = len(forecast)
    order = np.argsort(forecast, kind="stable")
    bins = max(1, min(BINS, count // FEWEST_OF_A_BIN))
    rows, error = [], 0.0
    for part in np.array_split(order, bins):
        said, came = float(forecast[part].mean()), float(score[part].mean())
        low, high = _wilson(came, len(part))
        error += len(part) / count * abs(said - came)
        rows.append(
            {
                "marks": len(part),
                "forecast": round(said, 4),
                "score": round(came, 4),
                "low": round(low, 4),
                "high": round(high, 4),
            }
        )
    return {"marks": count, "expected_error": round(error, 4), "bins": rows}


def _wilson(rate: float, count: int) -> tuple[float, float]:
    """Wilson, "Probable Inference", JASA 1927."""
    square = Z**2 / count
    middle = (rate + square / 2) / (1 + square)
    half = Z / (1 + square) * (rate * (1 - rate) / count + square / (4 * count)) ** 0.5
    return middle - half, middle + half
