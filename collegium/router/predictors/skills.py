"""Skills: the few that a query needs, and the experts with the best profiles in them."""

from __future__ import annotations

import numpy as np

from collegium.router.predictors.base import Array
from collegium.router.predictors.domain_table import DomainTable


class Skills(DomainTable):
    """Experts are recruited by their measured levels on a query's likeliest skills.

    Symbolic-MoE (arXiv 2503.05641) has a keyword model name the skills of a query; here the
    classifier of `DomainTable` does, on the labels of the fit, and only the `most` likeliest count.
    """

    def __init__(self, classifier: str = "discriminant", most: int = 3) -> None:
        super().__init__(classifier)
        self.most = most

    def _forecast(self, X: Array) -> Array:
        asked = self.domains(X)
        least = np.sort(asked, axis=1)[:, -min(self.most, asked.shape[1])][:, None]
        asked = np.where(asked >= least, asked, 0.0)
        return np.asarray(asked / asked.sum(axis=1, keepdims=True) @ self.table_)
