"""Choose one model per prompt from forecasts, at every price of quality."""

from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Bools, Floats, Ints

STEPS = 60
"""Exchange rates in a sweep, beside the two ends."""
TIE = 1e-12


@dataclass(frozen=True)
class Choice:
    """What a router that chooses by itself made of n prompts."""

    chosen: Ints
    """Columns of models, shape (n,)."""
    ranking: Floats | None = None
    """Shape (n, e), highest is best, in arbitrary units; None for methods that only choose."""


@dataclass(frozen=True)
class Sweep:
    """What a router gets for its money at each exchange rate, shape (prompts, rates)."""

    costs: Floats
    scores: Floats

    @property
    def cost(self) -> Floats:
        """Mean dollars at each rate."""
        return np.asarray(self.costs.mean(axis=0))

    @property
    def quality(self) -> Floats:
        """Mean score at each rate."""
        return np.asarray(self.scores.mean(axis=0))


def choose(quality: Floats, measured: Bools, cost: Floats) -> Ints:
    """Return the best measured model of each prompt; of equals, the cheapest.

    `cost` has shape (models,) or that of `quality`; every prompt has a measured model.
    """
    if not measured.any(axis=1).all():
        raise ValueError("every prompt needs a measured model to choose")
    open_to_choice = np.where(measured, quality, -np.inf)
    best = open_to_choice >= open_to_choice.max(axis=1, keepdims=True) - TIE
    chosen: Ints = np.where(best, cost, np.inf).argmin(axis=1).astype(np.int64)
    return chosen


def picked(table: Floats, chosen: Ints) -> Floats:
    """Return each prompt's cell of its chosen model."""
    cells: Floats = table[np.arange(len(chosen)), chosen]
    return cells


def sweep(forecasts: Floats, expected_cost: Floats, scores: Floats, costs: Floats) -> Sweep:
    """Trade forecast quality against expected cost, from money no object to the cheapest model.

    Choices see only `forecasts` (prompts, models) and `expected_cost` (models,); what they bring
    and cost is read off `scores` and `costs`.
    """
    measured = np.isfinite(scores)
    scale = max(float(np.ptp(expected_cost)), TIE)
    price = (expected_cost - expected_cost.min()) / scale
    rates = _rates(forecasts, price)
    chosen = [choose(forecasts - rate * price, measured, expected_cost) for rate in rates]
    chosen.append(choose(np.broadcast_to(-price, scores.shape), measured, expected_cost))
    return Sweep(
        np.stack([picked(costs, each) for each in chosen], axis=1),
        np.stack([picked(scores, each) for each in chosen], axis=1),
    )


def _rates(forecasts: Floats, price: Floats) -> Floats:
    """Rates at which choices change: where a dearer model's lead is worth just its price."""
    cheapest = int(price.argmin())
    dearer = price > price[cheapest] + TIE
    lead = (forecasts[:, dearer] - forecasts[:, [cheapest]]) / (price[dearer] - price[cheapest])
    useful = lead[np.isfinite(lead) & (lead > 0)]
    if not useful.size:
        return np.zeros(1)
    return np.unique(np.r_[0.0, np.quantile(useful, np.linspace(0, 1, STEPS))])
