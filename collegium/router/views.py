"""Read a query past what is put before or behind it: by the part of its text that is familiar.

Text around a question moves its embedding away from all marked prompts, and where the marks say
nothing the best expert overall answers, often the dearest: a paragraph before each prompt sent all
of 60 coding questions there, of which `collegium/cheap` sends 42 % there without it
(docs/decisions/0021-views-of-unfamiliar-queries.md, 0026-views-from-pieces.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.router.beliefs.evidence import Evidence
from collegium.router.vectors import Encoder

Array = NDArray[np.float64]
FAMILIAR = 0.6
"""A query of more evidence is read as it is."""
GAIN = 0.1
"""By how much the evidence of a part has to exceed that of the whole."""
MOST_CHARACTERS = 4_000
"""More is not read by encoders either."""
FEWEST_WORDS = 6
"""Shorter texts have no halves that say anything."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\S+")


def pieces(text: str) -> list[str]:
    """The first sentence or line, what follows, and the last one; or halves, if it is only one.

    Joined, they are the text: at most three, or the text alone if it is short.
    """
    text = text.strip()[:MOST_CHARACTERS].rstrip()
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    words = [] if ends else list(_WORD.finditer(text))
    if len(words) >= FEWEST_WORDS:
        ends = [words[len(words) // 2].start()]
    cuts = [0, *dict.fromkeys([*ends[:1], *ends[-1:]]), len(text)]
    found = (text[start:end] for start, end in pairwise(cuts))
    return [piece for piece in found if piece.strip()]


def views(vectors: Array, lengths: Sequence[int]) -> Array:
    """Embeddings of a text without its last pieces, and without its first ones: (2 (k - 1), d).

    `vectors` (k, d) and `lengths`, in characters, are the pieces'. Their weighted mean stands for
    the vector of the text that they make together, which would take longer to encode. It is as
    long as they are: vectors with surface features are longer than 1.
    """
    weights = np.asarray(lengths, dtype=np.float64)[:, None]
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    before = np.cumsum(np.hstack([vectors, norms, np.ones_like(norms)]) * weights, axis=0)
    sums = np.concatenate([before[:-1], before[-1] - before[:-1]])
    found, norms = sums[:, :-2], sums[:, -2:-1] / sums[:, -1:]
    own = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found * norms / np.where(own > 0, own, 1.0))


def familiar(
    texts: Sequence[str], X: Array, weights: Array, evidence: Evidence, encoder: Encoder
) -> Array:
    """Embeddings (n, d) of the texts, of a part where that is clearly more familiar.

    `X` (n, d) are those of the whole texts, and `weights` (n,) is their evidence. Only pieces of
    texts that are not familiar are encoded.
    """
    parted = [pieces(texts[row]) if weights[row] < FAMILIAR else [] for row in range(len(texts))]
    rows = [row for row, parts in enumerate(parted) if len(parts) > 1]
    if not rows:
        return X
    told = [piece.strip() for row in rows for piece in parted[row]]
    encoded = _apart(encoder.encode(told), [len(parted[row]) for row in rows])
    seen = [views(E, list(map(len, parted[row]))) for row, E in zip(rows, encoded, strict=True)]
    gained = _apart(evidence.weights(np.concatenate(seen)), list(map(len, seen)))
    found = X.copy()
    for row, vectors, weight in zip(rows, seen, gained, strict=True):
        if weight.max() > weights[row] + GAIN:
            found[row] = vectors[weight.argmax()]
    return found


def _apart(rows: NDArray[np.floating[Any]], counts: Sequence[int]) -> list[Array]:
    """Rows that belong to one text after the other, so many each."""
    return np.split(np.asarray(rows, dtype=np.float64), np.cumsum(counts)[:-1])
