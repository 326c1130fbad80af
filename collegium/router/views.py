"""Read a query past what is put before or behind it: by the part of its text that is familiar.

Text around a question moves its embedding away from all marked prompts, and where the marks say
nothing the best expert overall answers, often the dearest: a paragraph before each prompt sent all
of 60 coding questions there, of which `collegium/cheap` sends 42 % there without it
(docs/decisions/0021-views-of-unfamiliar-queries.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from collegium.router.beliefs.evidence import Evidence

Array = NDArray[np.float64]
Encode = Callable[[Sequence[str]], NDArray[np.float32]]
FAMILIAR = 0.8
"""A query of more evidence is read as it is."""
GAIN = 0.1
"""By how much the evidence of a part has to exceed that of the whole."""
MOST_CHARACTERS = 4_000
"""More is not read by encoders either."""
FEWEST_WORDS = 6
"""Shorter texts have no halves that say anything."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def views(text: str) -> list[str]:
    """The first and the last sentence or line, the text without each of them, and its halves."""
    text = text.strip()[:MOST_CHARACTERS]
    found: list[str] = []
    if ends := list(_SENTENCE_END.finditer(text)):
        first, last = ends[0], ends[-1]
        found += [text[: first.start()], text[last.end() :]]
        found += [text[: last.start()], text[first.end() :]]
    words = text.split()
    if len(words) >= FEWEST_WORDS:
        half = len(words) // 2
        found += [" ".join(words[:half]), " ".join(words[half:])]
    return list(dict.fromkeys(view for view in found if view.strip()))


def familiar(
    texts: Sequence[str], X: Array, weights: Array, evidence: Evidence, encode: Encode
) -> Array:
    """Embeddings (n, d) of the texts, of a part where that is clearly more familiar.

    `X` (n, d) are those of the whole texts, and `weights` (n,) is their evidence. Only views of
    texts that are not familiar are encoded.
    """
    parts = [views(text) if w < FAMILIAR else [] for text, w in zip(texts, weights, strict=True)]
    told = [view for each in parts for view in each]
    if not told:
        return X
    vectors = np.asarray(encode(told), dtype=np.float64)
    gained = evidence.weights(vectors)
    found, start = X.copy(), 0
    for row, each in enumerate(parts):
        end = start + len(each)
        if each and gained[start:end].max() > weights[row] + GAIN:
            found[row] = vectors[start + int(gained[start:end].argmax())]
        start = end
    return found
