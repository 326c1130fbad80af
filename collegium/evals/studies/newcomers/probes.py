"""Choose the probes of an expert that joins: a stratified sample of the marked prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
COMPACT = 64
"""Dimensions in which probes are chosen."""
TINY = 1e-12


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
