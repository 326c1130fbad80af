"""A new expert from a few dozen probes: forecasts for every query, without refitting the others."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
LEAST_VARIANCE = 0.05  # of an outcome, where the known experts are all but sure
COMPACT = 64  # dimensions in which probes are chosen
TINY = 1e-12


class Newcomer(RegressorMixin, BaseEstimator):
    """P(correct) of one new expert, taken for one more draw from the population of known ones.

    A Gaussian process on the probes. Its prior mean is the mean of the known experts' forecasts;
    its covariance adds up

    - the known experts' own covariance (`population`): a newcomer is first of all a mixture of
      them, and its weights are learnt;
    - an offset (`offset_sd`), and what is the newcomer's alone, smooth in the embedding
      (`own_sd`, `length`: exp((cosine - 1) / length));
    - where the known experts' outcomes on the probes are given: the luck of the question. A
      probe that all the others got right against their forecasts says little of the newcomer
      (`shared` of the mean surprise is expected of it, `alike` lets it share single experts').

    That last part is what a probe needs to be worth more than its one bit: it is the idea of
    anchor points and item response in "tinyBenchmarks" (Polo et al., ICML 2024). Rasmussen and
    Williams, "Gaussian processes for machine learning" (2006), equation 2.25, for the algebra.
    """

    def __init__(
        self,
        population: float = 1.3,
        offset_sd: float = 0.1,
        own_sd: float = 0.1,
        length: float = 0.5,
        shared: float = 0.7,
        alike: float = 0.5,
        noise: float = 0.7,
    ) -> None:
        self.population = population
        self.offset_sd = offset_sd
        self.own_sd = own_sd
        self.length = length
        self.shared = shared
        self.alike = alike
        self.noise = noise

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any, *, forecasts: Any = None, outcomes: Any = None) -> Self:
        """Learn from K probes: embeddings (K, d) and the newcomer's outcomes (K,) in [0, 1].

        `forecasts` (K, e) are the known experts' for the probes, made without their outcomes;
        `outcomes` (K, e) what the known experts scored on them, NaN where that is unknown.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        known = _columns(forecasts, X)
        mean, spread = _population(known)
        surprise = np.zeros_like(known)
        if outcomes is not None:
            seen = check_array(outcomes, dtype=np.float64, ensure_all_finite="allow-nan")
            surprise = np.nan_to_num(seen - known, nan=0.0)
        luck, apart = _population(surprise)
        covariance = self._covariance(X, spread, X, spread)
        covariance += self.alike**2 * (apart @ apart.T)
        share = self.noise if outcomes is not None else 1.0
        covariance[np.diag_indices(len(X))] += share * np.maximum(mean * (1 - mean), LEAST_VARIANCE)
        unexplained = np.clip(y, 0.0, 1.0) - mean - self.shared * luck * (outcomes is not None)
        self.dual_ = np.linalg.solve(covariance, unexplained)
        self.probes_, self.spread_ = X, spread
        return self

    def predict(self, X: Any, forecasts: Any = None) -> Array:
        """Return P(correct) for queries (n, d), given the known experts' forecasts (n, e)."""
        check_is_fitted(self, "dual_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        mean, spread = _population(_columns(forecasts, X))
        if spread.shape[1] != self.spread_.shape[1]:
            raise ValueError(
                f"forecasts of {spread.shape[1]} known experts, but the probes had those "
                f"of {self.spread_.shape[1]}"
            )
        covariance = self._covariance(X, spread, self.probes_, self.spread_)
        return np.asarray(np.clip(mean + covariance @ self.dual_, 0.0, 1.0))

    @property
    def mixture_(self) -> Array:
        """The weights on the known experts' forecasts, shape (e,); they sum to one."""
        check_is_fitted(self, "dual_")
        weights = self.population**2 * (self.spread_.T @ self.dual_)
        count = max(len(weights), 1)
        weights = weights / np.sqrt(max(count - 1, 1))
        return np.asarray(1 / count + weights - weights.mean()) if len(weights) else weights

    def _covariance(self, X: Array, spread: Array, others: Array, other_spread: Array) -> Array:
        near = np.exp((_unit(X) @ _unit(others).T - 1) / self.length)
        alike = self.population**2 * (spread @ other_spread.T)
        return np.asarray(self.offset_sd**2 + alike + self.own_sd**2 * near)


def choose_probes(
    X: Any, k: int, *, outcomes: Any = None, labels: Any = None, seed: int = 0
) -> Indices:
    """Choose k of n queries (n, d) to ask a newcomer: one at random from each of k equal parts.

    The parts come from halving the queries along their main direction, over and over: stratified
    sampling, so that the probes' mean is that of all queries. Middles of clusters are not that:
    on one set a model's level came out 15 points low. Give the known experts'
    `outcomes` (n, e) and queries are alike if they read alike and the same experts get them right.
    With `labels` (tasks or skills, n names) every label gets its share of the probes, by largest
    remainder. The same arguments give the same probes.
    """
    X = check_array(X, dtype=np.float64)
    if not 1 <= k <= len(X):
        raise ValueError(f"can't choose {k} probes from {len(X)} queries")
    random = np.random.default_rng(seed)
    places = _compact(X, random)
    if outcomes is not None:
        seen = check_array(outcomes, dtype=np.float64, ensure_all_finite="allow-nan")
        places = np.hstack([places, _scaled(np.nan_to_num(seen, nan=0.5))])
    names = np.zeros(len(X), dtype=str) if labels is None else np.asarray(labels, dtype=str)
    kinds, which = np.unique(names, return_inverse=True)
    quotas = _quotas(np.bincount(which, minlength=len(kinds)), k)
    chosen = [
        random.choice(part)
        for kind, quota in enumerate(quotas)
        if quota
        for part in _parts(places, np.flatnonzero(which == kind), int(quota), random)
    ]
    return np.sort(np.array(chosen, dtype=np.int64))


def _quotas(sizes: Indices, k: int) -> Indices:
    shares = k * sizes / sizes.sum()
    quotas: Indices = np.floor(shares).astype(np.int64)
    most_left = np.argsort(quotas - shares, kind="stable")[: k - quotas.sum()]
    quotas[most_left] += 1
    return quotas


def _parts(places: Array, rows: Indices, k: int, random: np.random.Generator) -> list[Indices]:
    """Split rows into k parts of (nearly) one size, by halving along the main direction."""
    if k == 1:
        return [rows]
    centred = places[rows] - places[rows].mean(axis=0)
    along = centred @ _main_direction(centred, random)
    ordered = rows[np.argsort(along, kind="stable")]
    left = k // 2
    cut = min(max(round(len(rows) * left / k), left), len(rows) - (k - left))
    return [
        *_parts(places, ordered[:cut], left, random),
        *_parts(places, ordered[cut:], k - left, random),
    ]


def _main_direction(centred: Array, random: np.random.Generator) -> Array:
    """The first principal component (d,), by a dozen steps of the power method."""
    direction: Array = np.asarray(random.normal(size=centred.shape[1]))
    for _ in range(12):
        direction = centred.T @ (centred @ direction)
        length = float(np.linalg.norm(direction))
        if length < TINY:
            return np.zeros(centred.shape[1])
        direction = direction / length
    return direction


def _compact(X: Array, random: np.random.Generator) -> Array:
    """Many dimensions as few, by a random projection that keeps distances about (n, <= 64)."""
    if X.shape[1] > COMPACT:
        X = X @ random.normal(size=(X.shape[1], COMPACT))
    return _scaled(X)


def _scaled(columns: Array) -> Array:
    """Centred, with a mean square length of one."""
    centred = columns - columns.mean(axis=0)
    return np.asarray(centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), TINY))


def _columns(forecasts: Any, X: Array) -> Array:
    """The known experts' forecasts (n, e); none at all where none are given."""
    if forecasts is None:
        return np.zeros((len(X), 0))
    known = check_array(forecasts, dtype=np.float64)
    if len(known) != len(X):
        raise ValueError(f"{len(known)} rows of forecasts for {len(X)} queries")
    return np.asarray(known)


def _population(columns: Array) -> tuple[Array, Array]:
    """Mean over the known experts (n,), 0.5 without any, and what spans their covariance (n, e)."""
    count = columns.shape[1]
    if not count:
        return np.full(len(columns), 0.5), columns
    mean = columns.mean(axis=1)
    return mean, (columns - mean[:, None]) / np.sqrt(max(count - 1, 1))


def _unit(X: Array) -> Array:
    length = np.linalg.norm(X, axis=1, keepdims=True)
    return np.asarray(X / np.where(length > 0, length, 1.0))
