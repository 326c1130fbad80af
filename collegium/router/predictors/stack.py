"""The default: a stack of predictors, weighted by how well they forecast unseen queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls
from sklearn.base import clone

from collegium.router.predictors.base import Array, Predictor, folds, rates
from collegium.router.predictors.clusters import Clusters
from collegium.router.predictors.domain_table import DomainTable
from collegium.router.predictors.kernel import Kernel
from collegium.router.predictors.linear import Linear

SPREAD = 0.2
"""How far weights are believed to lie from equal ones before any outcome is seen (a standard
deviation). Little can be told of near-equal bases by noisy outcomes: on 1,500 labels of GPT-4
against Mixtral, free weights cost 0.003 of APGR (three splits)."""


class Stack(Predictor):
    """Non-negative weights over base predictors, learnt from out-of-fold forecasts.

    Breiman, "Stacked regressions" (1996). What all experts share on a query (how hard it is) and
    how they differ get weights of their own: a base can be good at one and useless at the other,
    and only the differences route. Weights that sum to less than one pull toward the experts'
    overall rates. As the weights are fitted to out-of-fold forecasts, the sum is calibrated; a
    curve on top (Platt, beta) was tried and took more from the differences than it gave.
    """

    state = ("fitted_", "common_", "difference_", "rates_")

    def __init__(self, bases: Sequence[Predictor] | None = None, folds: int = 5) -> None:
        self.bases = bases
        self.folds = folds

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        bases = default_bases() if self.bases is None else list(self.bases)
        self.rates_ = rates(scores)
        forecasts = self._out_of_fold(bases, X, scores, labels, groups)
        self.common_, self.difference_ = stack_weights(
            forecasts - self.rates_, scores - self.rates_
        )
        self.fitted_ = [clone(base).fit(X, scores, labels=labels, groups=groups) for base in bases]

    def _forecast(self, X: Array) -> Array:
        forecasts = np.array([base.forecast(X) for base in self.fitted_])
        return self._combine(forecasts)

    def _out_of_fold(
        self, bases: list[Predictor], X: Array, scores: Array, labels: Any, groups: Any
    ) -> Array:
        """Each base's forecasts for queries whose group it did not see, shape (bases, n, e)."""
        forecasts = np.tile(self.rates_, (len(bases), len(X), 1))
        for kept, left in folds(len(X), groups, self.folds):
            for forecast, base in zip(forecasts, bases, strict=True):
                names = None if labels is None else labels[kept]
                forecast[left] = (
                    clone(base).fit(X[kept], scores[kept], labels=names).predict(X[left])
                )
        return forecasts

    def _combine(self, forecasts: Array) -> Array:
        off = forecasts - self.rates_
        common = off.mean(axis=2, keepdims=True)
        return np.asarray(
            self.rates_
            + np.tensordot(self.common_, common, axes=1)
            + np.tensordot(self.difference_, off - common, axes=1)
        )


def default_bases() -> list[Predictor]:
    """What the default stacks."""
    return [DomainTable(), DomainTable("logistic"), Linear(), Kernel(), Clusters()]


def stack_weights(forecasts: Array, outcomes: Array) -> tuple[Array, Array]:
    """Weights (bases,) for what a query's experts share and for their differences.

    Both arguments are less the experts' rates: forecasts (bases, n, e), outcomes (n, e) with NaN.
    """
    seen = ~np.isnan(outcomes)
    count = np.maximum(seen.sum(axis=1), 1)
    y = np.where(seen, outcomes, 0.0)
    f = np.where(seen, forecasts, 0.0)
    common_y, common_f = y.sum(axis=1) / count, f.sum(axis=2) / count
    difference_y = np.where(seen, y - common_y[:, None], 0.0)
    difference_f = np.where(seen, f - common_f[:, :, None], 0.0)
    weight = np.sqrt(count)  # a mean of more outcomes says more
    return (
        shrunk_nnls((common_f * weight).T, common_y * weight),
        shrunk_nnls(difference_f.reshape(len(f), -1).T, difference_y.ravel()),
    )


def shrunk_nnls(design: Array, target: Array) -> Array:
    """Non-negative least squares with a Gaussian belief around equal weights that sum to one."""
    bases = design.shape[1]
    free = nnls(design, target)[0]
    noise = float(np.mean((target - design @ free) ** 2)) + 1e-12
    pull = noise / SPREAD**2
    root = np.linalg.cholesky(design.T @ design + pull * np.eye(bases))
    moments = design.T @ target + pull / bases
    return np.asarray(nnls(root.T, np.linalg.solve(root, moments))[0])
