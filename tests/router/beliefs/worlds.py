"""Worlds whose true rates are known, by application and by query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Queries (n, d), scores (n, e) at the true rates (n, e), and who asked."""

    X: Array
    scores: Array
    rates: Array
    applications: list[str]


def by_application(
    count: int = 12, each: int = 30, *, experts: int = 3, dimensions: int = 16, seed: int = 0
) -> World:
    """Applications with rates of their own, whose queries look much alike."""
    fixed = np.random.default_rng(7)
    table = fixed.uniform(0.1, 0.9, size=(count, experts))
    places = fixed.normal(size=(count, dimensions))
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(count), each)
    rates = table[number]
    return World(
        places[number] + 0.3 * rng.normal(size=(len(number), dimensions)),
        (rng.random(rates.shape) < rates).astype(np.float64),
        rates,
        [f"application {i}" for i in number],
    )


def noise(n: int = 240, *, experts: int = 2, dimensions: int = 6, seed: int = 0) -> World:
    """Coins are tossed: nothing can be learnt but by heart."""
    rng = np.random.default_rng(seed)
    rates = np.full((n, experts), 0.5)
    return World(
        rng.normal(size=(n, dimensions)),
        (rng.random((n, experts)) < 0.5).astype(np.float64),
        rates,
        [f"application {i // 3}" for i in range(n)],
    )
