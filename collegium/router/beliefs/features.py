"""Features of applications besides their marks: their queries and their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OF_QUERIES, OF_CONTEXT = 24, 8
"""Principal components that are kept of embeddings of queries, and of applications' prompts."""


class Features:
    """Principal components of the query's embedding and of its application's context."""

    def fit(self, X: Array, context: Sequence[Array | None]) -> Self:
        """Learn from embeddings (n, d) and contexts (n); None for no context."""
        self.middle_, self.axes_ = _components(X, OF_QUERIES)
        known = np.array([each for each in context if each is not None])
        if not len(known):  # then contexts tell nothing
            self.context_middle_ = np.zeros(X.shape[1])
            self.context_axes_ = np.zeros((X.shape[1], 0))
            return self
        self.context_middle_, self.context_axes_ = _components(known, OF_CONTEXT)
        return self

    @property
    def reads_context(self) -> bool:
        """Whether contexts tell anything."""
        return self.context_axes_.shape[1] > 0

    def of(self, X: Array, context: Sequence[Array | None]) -> Array:
        """Features of queries, shape (n, f); without a context its part is the usual one."""
        own = np.asarray((X - self.middle_) @ self.axes_)
        if not self.reads_context:
            return own
        if all(each is None for each in context):
            return np.hstack([own, np.zeros((len(X), self.context_axes_.shape[1]))])
        given = np.array([self.context_middle_ if c is None else c for c in context])
        return np.hstack([own, (given - self.context_middle_) @ self.context_axes_])


def _components(X: Array, most: int) -> tuple[Array, Array]:
    """The mean (d,) and the first principal axes (d, at most `most`)."""
    middle = X.mean(axis=0)
    near = X - middle
    _, vectors = np.linalg.eigh(near.T @ near)
    return middle, np.ascontiguousarray(vectors[:, ::-1][:, : min(most, len(X), X.shape[1])])
