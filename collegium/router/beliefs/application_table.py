"""Each expert's rate in each application; applications share statistical strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from collegium.router.predictors.kernel import squared_distances

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

VARIANTS = ((1, 6.0), (4, 6.0), (4, 12.0), (10, 6.0), (10, 6.0), (10, 12.0))
"""Groups and pull of the mixtures that are averaged. In eight worlds of 44 applications their mean
saved 64 % of what a table of 3,900 prompts saves from 200 prompts, the best of them 63 %, a table
that is pulled toward the overall rates 60 %; from 400 prompts 81, 78 and 77 %."""
ROUNDS = 40
OWN = 3.0
"""Marks of the overall rates that each group starts with."""
FEATURES_COUNT = 5.0
"""Queries per application used to assign it to a group; more add nothing."""
LEAST, MOST = 0.005, 0.995
NEW, LEAST_SPREAD = 1.4, 0.25
"""New applications differ more from those with marks than these do from each other."""


@dataclass(frozen=True)
class Group:
    """The groups of one mixture: rates (k, e), centres (k, f), spread of features, shares (k,)."""

    rates: Array
    centres: Array
    spread: float
    shares: Array
    pull: float


class _Joined:
    """The groups of several mixtures one after the other: a query looks at all of them at once.

    Mixture by mixture took 100 µs a query, a fifth of its reading; together they take 20.
    """

    def __init__(self, mixtures: Sequence[Group]) -> None:
        self._centres = np.concatenate([g.centres for g in mixtures])
        self._squares = (self._centres**2).sum(axis=1)
        self._log_shares = np.log(np.concatenate([g.shares for g in mixtures]))
        self._sizes = [len(g.shares) for g in mixtures]
        self._starts = np.cumsum([0, *self._sizes[:-1]])
        self._widths = np.repeat([2 * g.spread for g in mixtures], self._sizes)
        self._rates = np.concatenate([g.rates for g in mixtures]) / len(mixtures)

    def rates(self, features: Array) -> Array:
        """The mean over the mixtures of the rates that features (n, f) speak for, shape (n, e)."""
        squares = squared_distances(features, self._centres, self._squares)
        says = self._log_shares - squares / self._widths
        odds = np.exp(says - self._of_each(np.maximum, says))
        return np.asarray((odds / self._of_each(np.add, odds)) @ self._rates)

    def _of_each(self, reduce: np.ufunc, values: Array) -> Array:
        """Each mixture's maximum or sum, at the place of each of its groups."""
        return np.repeat(reduce.reduceat(values, self._starts, axis=1), self._sizes, axis=1)


class ApplicationTable:
    """Rates by application, shrunk to the rates of applications that look and score alike.

    Applications are draws from a mixture of groups; a group has a rate for each expert and a
    place among the features of the queries. Expectation maximisation finds the groups, an
    application's own marks count against `pull` marks of its groups' rates, and the rates of
    several mixtures are averaged (Breiman, "Bagging predictors", 1996), since which groups are
    found depends on chance. An application without marks gets its groups by its features alone.
    """

    def fit(
        self,
        scores: Array,
        applications: Indices,
        features: Array,
        count: int,
        weight: Array | None = None,
    ) -> Self:
        """Learn from scores (n, e; NaN unmeasured) of queries with features (n, f).

        `applications` (n,) numbers them from 0 to `count` - 1; -1 is a query without one.
        `weight` (n, e) is what each score counts, by default one mark.
        """
        seen = (~np.isnan(scores)).astype(np.float64)
        seen = seen if weight is None else seen * weight
        # Corrected marks may lie beyond 0 and 1; rates do not.
        self.rates_ = np.clip(_rates(scores, seen), LEAST, MOST)
        inside = applications >= 0
        rows = applications[inside]
        self.right_ = _sums((seen * np.nan_to_num(scores))[inside], rows, count)
        self.marks_ = _sums(seen[inside], rows, count)
        queries = np.bincount(rows, minlength=count).astype(np.float64)
        places = _sums(features[inside], rows, count) / np.maximum(queries, 1.0)[:, None]
        self.groups_ = [
            _mixture(self, places, queries, groups, pull, seed)
            for seed, (groups, pull) in enumerate(VARIANTS)
        ]
        prior = [self._members(g, places, queries) @ g.rates for g in self.groups_]
        posterior = [
            (self.right_ + g.pull * p) / (self.marks_ + g.pull)
            for g, p in zip(self.groups_, prior, strict=True)
        ]
        self.table_ = np.clip(np.mean(posterior, axis=0), 0.0, 1.0)
        self.spread_ = _between(self.table_, self.marks_)
        return self.ready()

    def ready(self) -> Self:
        """Prepare what each forecast would compute anew; ValueError if the arrays do not fit."""
        if self.table_.shape != self.marks_.shape:
            raise ValueError("an application's rates and its marks are of different experts")
        self._joined = _Joined(self.groups_)
        self._has_marks = self.marks_.sum(axis=1) > 0
        self._pull = float(np.mean([g.pull for g in self.groups_]))
        self._unsure = np.minimum(NEW * np.maximum(self.spread_, LEAST_SPREAD), 0.5)
        return self

    def known(self, applications: Indices, otherwise: Array) -> Array:
        """The rates of applications, shape (n, e); `otherwise` (n, e) for those without marks."""
        found = otherwise.copy()
        rows = self._marked(applications)
        found[rows] = self.table_[applications[rows]]
        return found

    def unknown(self, features: Array) -> Array:
        """The rates of queries (n, f) whose application has no marks, or is not known: (n, e)."""
        return self._joined.rates(features)

    def deviation(self, applications: Indices) -> Array:
        """The standard deviation of each rate (n, e); that of -1 is how applications differ."""
        found = np.repeat(self._unsure[None, :], len(applications), axis=0)
        rows = self._marked(applications)
        rate, marks = self.table_[applications[rows]], self.marks_[applications[rows]]
        found[rows] = np.sqrt(rate * (1 - rate) / (marks + self._pull + 1))
        return found

    def _marked(self, applications: Indices) -> Indices:
        """The rows (m,) of `applications` (n,) that have marks."""
        rows = np.flatnonzero(applications >= 0)
        return np.asarray(rows[self._has_marks[applications[rows]]])

    def _members(self, group: Group, places: Array, queries: Array) -> Array:
        """Each application's membership in each group, by marks and features, shape (a, k)."""
        return _parts(
            _marks_say(self, group.rates, group.pull) + _place_says(group, places, queries)
        )


def _rates(scores: Array, weight: Array, prior: float = 1.0) -> Array:
    right = (weight * np.nan_to_num(scores)).sum(axis=0)
    return np.asarray((right + 0.5 * prior) / (weight.sum(axis=0) + prior))


def _sums(values: Array, rows: Indices, count: int) -> Array:
    found = np.zeros((count, values.shape[1]))
    np.add.at(found, rows, values)
    return found


def _mixture(
    table: ApplicationTable, places: Array, queries: Array, groups: int, pull: float, seed: int
) -> Group:
    """Expectation maximisation from random applications; features and marks weigh together."""
    able = np.flatnonzero(queries > 0)
    usual, middle = table.rates_, np.zeros(places.shape[1])
    if len(able):
        middle = places[able].mean(axis=0)
    first = np.random.default_rng(seed).choice(able, min(groups, len(able)), replace=False)
    if groups == 1 or len(first) < 2:
        return Group(usual[None, :], middle[None, :], 1.0, np.ones(1), pull)
    group = Group(
        np.clip((table.right_[first] + 2 * usual) / (table.marks_[first] + 2), LEAST, MOST),
        places[first],
        float(places[able].var(axis=0).mean()) + 1e-6,
        np.full(len(first), 1 / len(first)),
        pull,
    )
    tempered = pull / (table.marks_ + pull)
    for _ in range(ROUNDS):
        says = _marks_say(table, group.rates, pull) + _place_says(group, places, queries)
        parts = _parts(says) * (queries > 0)[:, None]
        group = _maximised(table, group, parts, places, queries, tempered, middle)
    return group


def _maximised(
    table: ApplicationTable,
    group: Group,
    parts: Array,
    places: Array,
    queries: Array,
    tempered: Array,
    middle: Array,
) -> Group:
    right, marks = parts.T @ (tempered * table.right_), parts.T @ (tempered * table.marks_)
    weight = parts * queries[:, None]
    centres = (weight.T @ places + middle) / (weight.sum(axis=0)[:, None] + 1)
    squares = ((places[:, None, :] - centres) ** 2).sum(axis=2)
    able = int((queries > 0).sum())
    return Group(
        np.clip((right + OWN * table.rates_) / (marks + OWN), LEAST, MOST),
        centres,
        max(1e-4, float((parts * squares).sum()) / max(able * places.shape[1], 1)),
        (parts.sum(axis=0) + 1) / (able + len(centres)),
        group.pull,
    )


def _marks_say(table: ApplicationTable, group_rates: Array, pull: float) -> Array:
    """Log-likelihood of each application's marks in each group, shape (a, k).

    Applications of a group differ: many marks of one count no more than `pull` of the group.
    """
    tempered = pull / (table.marks_ + pull)
    right, wrong = tempered * table.right_, tempered * (table.marks_ - table.right_)
    return np.asarray(right @ np.log(group_rates).T + wrong @ np.log(1 - group_rates).T)


def _place_says(group: Group, places: Array, queries: Array) -> Array:
    squares = ((places[:, None, :] - group.centres) ** 2).sum(axis=2)
    weight = np.minimum(queries, FEATURES_COUNT)[:, None]
    return np.asarray(np.log(group.shares) - weight * squares / (2 * group.spread))


def _parts(says: Array) -> Array:
    odds = np.exp(says - says.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _between(table: Array, marks: Array, usual: float = 0.2) -> Array:
    """Return the spread of applications' rates around the overall ones, shape (e,); `usual` without
    data.
    """
    known = marks.sum(axis=1) > 0
    if known.sum() < 3:
        return np.full(table.shape[1], usual)
    noise = (table[known] * (1 - table[known]) / (marks[known] + 1)).mean(axis=0)
    return np.asarray(np.sqrt(table[known].var(axis=0, ddof=1) + noise))


def arrays_of(table: ApplicationTable) -> dict[str, NDArray[Any]]:
    """Return everything learnt as arrays, for a file."""
    found: dict[str, NDArray[Any]] = {
        "rates": table.rates_,
        "right": table.right_,
        "marks": table.marks_,
        "table": table.table_,
        "spread": table.spread_,
    }
    for i, group in enumerate(table.groups_):
        own = np.array([group.spread, group.pull])
        found |= {
            f"group{i}.rates": group.rates,
            f"group{i}.centres": group.centres,
            f"group{i}.shares": group.shares,
            f"group{i}.own": own,
        }
    return found


def table_of(arrays: dict[str, NDArray[Any]]) -> ApplicationTable:
    """Return the table from the arrays of `arrays_of`; raise KeyError if one is missing, ValueError
    if they do not fit.
    """
    table = ApplicationTable()
    table.rates_, table.right_ = arrays["rates"], arrays["right"]
    table.marks_, table.table_ = arrays["marks"], arrays["table"]
    table.spread_ = arrays["spread"]
    table.groups_ = [
        Group(
            arrays[f"group{i}.rates"],
            arrays[f"group{i}.centres"],
            float(arrays[f"group{i}.own"][0]),
            arrays[f"group{i}.shares"],
            float(arrays[f"group{i}.own"][1]),
        )
        for i in range(len(VARIANTS))
    ]
    return table.ready()
