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


CONTEST = 0.05
"""An expert this far below a query's best forecast counts 1/e as much in weighing differences: who
is hopeless is easy to tell, and says nothing of who is best among the good ones."""

TRUST = (1.0, 0.75, 0.5, 0.25, 0.1)
"""Shares of the differences that may be believed. Never none: they also rank queries by gain."""


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
        self.common_, weights = stack_weights(forecasts, scores, self.rates_)
        self.difference_ = weights
        self.difference_ = weights * self._trust(forecasts, scores)
        self.fitted_ = [clone(base).fit(X, scores, labels=labels, groups=groups) for base in bases]

    def _forecast(self, X: Array) -> Array:
        forecasts = np.array([base.forecast(X) for base in self.fitted_])
        return self._combine(forecasts)

    def _out_of_fold(
        self, bases: list[Predictor], X: Array, scores: Array, labels: Any, groups: Any
    ) -> Array:
        """Return each base's out-of-fold forecasts by group, shape (bases, n, e)."""
        forecasts = np.tile(self.rates_, (len(bases), len(X), 1))
        for kept, left in folds(len(X), groups, self.folds):
            for forecast, base in zip(forecasts, bases, strict=True):
                names = None if labels is None else labels[kept]
                forecast[left] = (
                    clone(base).fit(X[kept], scores[kept], labels=names).predict(X[left])
                )
        return forecasts

    def _trust(self, forecasts: Array, scores: Array) -> float:
        """The share of the differences that surely chooses best out of fold.

        Weights of least squares are right for forecasts; the best of many noisy forecasts is
        still chosen for its noise (the winner's curse). More than the least is believed only where
        it chooses better by a standard error (the rule of Breiman et al., CART, 1984).
        """
        off = self._combine(forecasts) - self.rates_
        common = off.mean(axis=1, keepdims=True)
        outcomes = [routed(self.rates_ + common + t * (off - common), scores) for t in TRUST]
        return TRUST[int(np.argmax([sure_gain(o - outcomes[-1]) for o in outcomes]))]

    def _combine(self, forecasts: Array) -> Array:
        off = forecasts - self.rates_
        common = off.mean(axis=2, keepdims=True)
        return np.asarray(
            self.rates_
            + np.tensordot(self.common_, common, axes=1)
            + np.tensordot(self.difference_, off - common, axes=1)
        )


def default_bases() -> list[Predictor]:
    """Return the default bases of the stack."""
    return [DomainTable(), DomainTable("logistic"), Linear(), Kernel(), Clusters()]


def stack_weights(
    forecasts: Array, scores: Array, usual: Array, believed: Array | None = None
) -> tuple[Array, Array]:
    """Weights (bases,) for what a query's experts share and for their differences.

    `forecasts` (bases, n, e) are out of fold, `scores` (n, e) NaN where unmeasured, `usual` (e,)
    the experts' rates, off which both are taken. `believed` (bases,) are the weights that few
    outcomes leave as they are, by default equal ones.
    """
    seen = ~np.isnan(scores)
    off = np.where(seen, scores - usual, 0.0)
    count = seen.sum(axis=1)
    weight = np.sqrt(count)  # a mean of more outcomes says more
    common = (forecasts - usual).mean(axis=2)
    target = off.sum(axis=1) / np.maximum(count, 1)
    shares = contest(forecasts.mean(axis=0), seen)
    root = np.sqrt(shares)
    centred = (forecasts - usual) - ((forecasts - usual) * shares).sum(axis=2, keepdims=True)
    wanted = off - (off * shares).sum(axis=1, keepdims=True)
    return (
        shrunk_nnls((common * weight).T, target * weight, believed),
        shrunk_nnls(
            (centred * root).reshape(len(forecasts), -1).T, (wanted * root).ravel(), believed
        ),
    )


def routed(forecasts: Array, scores: Array) -> Array:
    """Each query's outcome, shape (n,), if the highest forecast answers; NaN if unmeasured."""
    return np.take_along_axis(scores, forecasts.argmax(axis=1)[:, None], axis=1)[:, 0]


def sure_gain(gains: Array) -> float:
    """The mean less its standard error, of those that were measured."""
    gains = gains[~np.isnan(gains)]
    return float(gains.mean() - gains.std() / np.sqrt(len(gains))) if len(gains) else 0.0


def contest(forecast: Array, seen: Array) -> Array:
    """Return each measured expert's share in a query's contest, shape (n, e), rows of sum one."""
    best = np.where(seen, forecast, -np.inf).max(axis=1, keepdims=True, initial=-1e9)
    parts = np.where(seen, np.exp(np.minimum((forecast - best) / CONTEST, 0.0)), 0.0)
    return np.asarray(parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12))


def shrunk_nnls(design: Array, target: Array, believed: Array | None = None) -> Array:
    """Non-negative least squares with a Gaussian belief around weights that sum to one."""
    bases = design.shape[1]
    around = np.full(bases, 1 / bases) if believed is None else believed
    free = nnls(design, target)[0]
    noise = float(np.mean((target - design @ free) ** 2)) + 1e-12
    pull = noise / SPREAD**2
    root = np.linalg.cholesky(design.T @ design + pull * np.eye(bases))
    moments = design.T @ target + pull * around
    return np.asarray(nnls(root.T, np.linalg.solve(root, moments))[0])
