"""A domain classifier, and a table of each expert's rate by domain."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

from collegium.router.predictors.base import Array, Predictor
from collegium.router.predictors.clusters import centres_of
from collegium.router.predictors.tables import shrunk_table

DOMAINS, MOST_DOMAINS = 16, 48
"""Clusters that stand in where nobody named the queries' domains: 16, more of many queries. After
3,805 marks without applications 48 saved 53 %, not 51 % (mean of eight worlds; more in seven).
"""
QUERIES_OF_A_DOMAIN = 80
ENOUGH = 4000  # queries to tell domains apart; more would only take longer


class DomainTable(Predictor):
    """P(domain | query) times each expert's measured rate in the domain.

    MoDEM ("Mixture of domain expert models", arXiv 2410.07490) classifies with a fine-tuned
    DeBERTa; here a linear classifier on the embedding does: `discriminant` (Gaussians with Ledoit
    and Wolf's covariance: sharp, good with a handful of domains) or `logistic` (better where there
    are dozens). The domains are the `labels` of the fit, or clusters where there are none.
    """

    state = ("coef_", "intercept_", "table_")

    def __init__(self, classifier: str = "discriminant") -> None:
        self.classifier = classifier

    def _learn(self, X: Array, scores: Array, labels: Any, groups: Any) -> None:
        if labels is None or len(np.unique(labels)) < 2:
            count = min(max(DOMAINS, len(X) // QUERIES_OF_A_DOMAIN), MOST_DOMAINS)
            centres = centres_of(X, count)
            labels = (X @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
        names, index = np.unique(labels, return_inverse=True)
        fit = {"discriminant": discriminant, "logistic": logistic}[self.classifier]
        self.coef_, self.intercept_ = fit(X, index, len(names))
        self.table_ = shrunk_table(np.eye(len(names))[index], scores)

    def domains(self, X: Array) -> Array:
        """P(domain), shape (n, domains), in the order of the labels' names."""
        odds = X @ self.coef_.T + self.intercept_
        odds = np.exp(odds - odds.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def _forecast(self, X: Array) -> Array:
        return self.domains(X) @ self.table_


def discriminant(X: Array, index: Any, count: int) -> tuple[Array, Array]:
    """Weights (domains, d) and intercepts (domains,) of a shrunk linear discriminant."""
    sizes = np.bincount(index, minlength=count)
    means = np.array([X[index == k].mean(axis=0) for k in range(count)])
    covariance = np.eye(X.shape[1])
    if len(X) > 1:  # one query has no spread
        covariance, _ = ledoit_wolf(X - means[index], assume_centered=True)
    ridge = max(1e-6 * float(np.trace(covariance)) / len(covariance), 1e-12)
    coef = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), means.T).T
    return coef, np.log(sizes / len(X)) - (coef * means).sum(axis=1) / 2


def logistic(X: Array, index: Any, count: int) -> tuple[Array, Array]:
    """Weights (domains, d) and intercepts (domains,) of a multinomial logistic regression."""
    rows = np.random.default_rng(0).permutation(len(X))[:ENOUGH]
    rows = np.union1d(rows, np.unique(index, return_index=True)[1])  # a query of each domain
    coef, intercept = np.zeros((count, X.shape[1])), np.zeros(count)
    if count > 1:
        head = LogisticRegression(C=30.0, tol=1e-2, max_iter=1000).fit(X[rows], index[rows])
        first = 1 if count == 2 else 0
        coef[first:], intercept[first:] = head.coef_, head.intercept_
    return coef, intercept
