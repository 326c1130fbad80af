"""Route in two steps: a query to its category, the category to the expert that a budget allows.

Composition of Experts (arXiv 2412.01868), with the second step solved exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from collegium.router.composition import Assignment, Budget, compose
from collegium.router.heads import SkillHead

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Spending:
    """What each expert took for each query, shape (n, experts), and the most a query on average."""

    use: Array
    limit: float
    unit: str = ""


@dataclass(frozen=True)
class TwoStep:
    """A fitted mapping: the head finds the category, the assignment its expert."""

    head: SkillHead
    assignment: Assignment

    @classmethod
    def fit(cls, X: Array, scores: Array, categories: Any, budgets: Mapping[str, Spending]) -> Self:
        """Fit on embeddings (n, d), scores (n, experts; NaN unmeasured) and categories' names (n,).

        Raises NoFeasibleExpert where no mapping keeps the budgets.
        """
        head = SkillHead().fit(X, categories)
        # The shares of the categories that queries will be taken for, not those that they have.
        found = head.predict(X)
        counts = np.array([np.sum(found == name) for name in head.classes_], dtype=np.float64)
        tables = [
            Budget(name, by_category(s.use, found, head.classes_), s.limit, s.unit)
            for name, s in budgets.items()
        ]
        quality = by_category(scores, found, head.classes_)
        return cls(head, compose(quality, tables, weights=counts))

    def predict(self, X: Array) -> Indices:
        """Each query's expert, shape (n,)."""
        categories = self.head.predict_proba(X).argmax(axis=1)
        return np.asarray(self.assignment.experts[categories])


def by_category(values: Array, categories: Any, names: Any) -> Array:
    """Means by category and expert, (categories, experts); the expert's own where unmeasured."""
    everywhere = np.nanmean(values, axis=0)
    table = np.tile(everywhere, (len(names), 1))
    for row, name in enumerate(names):
        here = values[categories == name]
        seen = (~np.isnan(here)).sum(axis=0)
        means = np.nansum(here, axis=0) / np.maximum(seen, 1)
        table[row] = np.where(seen > 0, means, everywhere)
    return table
