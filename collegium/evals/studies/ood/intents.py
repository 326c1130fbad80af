"""Classify many intents and detect out-of-scope queries: a kernel head and a relative distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

Array = NDArray[np.float64]
LEXICAL_SHARES = (1.0, 0.5)  # of words and of character n-grams
BLOCK = 2048
JITTER = 0.05  # kernel values are near one another, and summed in float32


class IntentHead(ClassifierMixin, BaseEstimator):
    """Least squares on a Gaussian kernel with a few landmarks a class (Nyström), and words.

    Embeddings of unit length say what a query means; with `texts`, the likeness of its words to
    each class's mean is added with the weight `lexical`, and half as much of its character
    n-grams: near intents often differ by one word that the embedding smooths over. Williams and
    Seeger, "Using the Nyström method to speed up kernel machines" (NIPS 2000).
    """

    def __init__(
        self,
        landmarks: int = 20,
        width: float = 0.7,
        penalty: float = 0.03,
        lexical: float = 0.4,
    ) -> None:
        self.landmarks = landmarks
        self.width = width
        self.penalty = penalty
        self.lexical = lexical

    def fit(self, X: Any, y: Any, texts: Sequence[str] | None = None) -> Self:
        """Fit on embeddings (n, d), intents' names (n,) and, where known, the queries' texts."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, index = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"got 1 class, {self.classes_[0]!r}; an intent head needs two or more")
        rng = np.random.default_rng(0)
        rows = [rng.permutation(np.flatnonzero(index == k)) for k in range(len(self.classes_))]
        self.landmarks_ = X[np.concatenate([found[: self.landmarks] for found in rows])]
        gram, along = self._sums(X, index)
        among = self._kernel(self.landmarks_)
        gram += self.penalty * (among + among.T) / 2 + JITTER * np.eye(len(gram))
        self.coef_ = np.linalg.solve(gram, along)
        self.lexicon_ = [] if texts is None else _lexicons(texts, index)
        return self

    def decision_function(self, X: Any, texts: Sequence[str] | None = None) -> Array:
        """Each intent's score, shape (n, intents); of two intents the second's lead, (n,)."""
        scores = self._scores(X, texts)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any, texts: Sequence[str] | None = None) -> Any:
        """The likeliest intent of each query."""
        likeliest = self._scores(X, texts).argmax(axis=1)
        return self.classes_[likeliest]

    def _scores(self, X: Any, texts: Sequence[str] | None) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scores = self._kernel(X) @ self.coef_
        if texts is not None:
            for weight, (vectorizer, means) in zip(LEXICAL_SHARES, self.lexicon_, strict=False):
                likeness = (vectorizer.transform(list(texts)) @ means.T).toarray()
                scores += self.lexical * weight * likeness
        return np.asarray(scores)

    def _sums(self, X: Array, index: Any) -> tuple[Array, Array]:
        """K^T K and K^T Y over all queries, block by block in float32: half the time and memory."""
        gram = np.zeros((len(self.landmarks_), len(self.landmarks_)))
        along = np.zeros((len(self.landmarks_), len(self.classes_)))
        targets = np.eye(len(self.classes_), dtype=np.float32)
        for rows in np.array_split(np.arange(len(X)), 1 + len(X) // BLOCK):
            kernel = self._kernel(X[rows]).astype(np.float32)
            gram += kernel.T @ kernel
            along += kernel.T @ targets[index[rows]]
        return gram, along

    def _kernel(self, X: Array) -> Array:
        squares = (X**2).sum(axis=1)[:, None] + (self.landmarks_**2).sum(axis=1)
        apart = np.maximum(squares - 2 * X @ self.landmarks_.T, 0.0)
        return np.asarray(np.exp(-self.width * apart))


def _lexicons(texts: Sequence[str], index: Any) -> list[tuple[TfidfVectorizer, Any]]:
    """Word and character n-grams: each a vectorizer and the classes' unit means."""
    found = []
    members = sparse.csr_array((np.ones(len(index)), (index, np.arange(len(index)))))
    for vectorizer in (
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2),
    ):
        sums = members @ vectorizer.fit_transform(list(texts))
        length = np.sqrt(np.asarray(sums.multiply(sums).sum(axis=1)).ravel())
        means = sparse.diags_array(1 / np.maximum(length, 1e-12)) @ sums
        found.append((vectorizer, sparse.csr_array(means)))
    return found


class RelativeDistance(BaseEstimator):
    """How much farther a query lies from the nearest intent than from the middle of all queries.

    The difference of two squared Mahalanobis distances, one with the covariance within intents and
    one with that of everything: it cancels what is unusual in a query but says nothing of its
    intent. Ren et al., "A simple fix to Mahalanobis distance for improving near-OOD detection"
    (arXiv 2106.09022).
    """

    def __init__(self, shrinkage: float = 0.3) -> None:
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on embeddings (n, d) and intents' names (n,); no strange query is needed."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        classes, index = np.unique(y, return_inverse=True)
        self.means_ = np.array([X[index == k].mean(axis=0) for k in range(len(classes))])
        self.middle_ = X.mean(axis=0)
        self.within_ = self._whitening(X - self.means_[index])
        self.overall_ = self._whitening(X - self.middle_)
        return self

    def distance(self, X: Any) -> Array:
        """Higher is stranger, shape (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        near, means = X @ self.within_, self.means_ @ self.within_
        squares = (near**2).sum(axis=1)[:, None] - 2 * near @ means.T + (means**2).sum(axis=1)
        overall = (((X - self.middle_) @ self.overall_) ** 2).sum(axis=1)
        return np.asarray(squares.min(axis=1) - overall)

    def _whitening(self, residuals: Array) -> Array:
        """W with W W^T the inverse of the shrunk covariance, shape (d, d)."""
        covariance = residuals.T @ residuals / len(residuals)
        d = len(covariance)
        level = max(float(np.trace(covariance)) / d, 1e-12)
        shrunk = (1 - self.shrinkage) * covariance + self.shrinkage * level * np.eye(d)
        return np.asarray(np.linalg.inv(np.linalg.cholesky(shrunk)).T)
