"""Limit the influence of feedback by source."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BUCKETS = 1024


class SourceCaps:
    """How much of each expert's recent evidence came from each source (an API key, an address).

    One source's ratings of one expert weigh at most `most` together within the discount's memory,
    so a flood from few sources is worth a few ratings. Sources are hashed into a fixed number of
    buckets: a plain array (buckets, e), whatever the number of sources; two sources that share a
    bucket share its cap. `trusted` (e,) is the mass of ratings without a source: those with the
    operator's key.
    """

    def __init__(self, experts: int, *, most: float, discount: float) -> None:
        self.most = most
        self.discount = discount
        self.mass: Array = np.zeros((BUCKETS, experts))
        self.trusted: Array = np.zeros(experts)

    def make_room(self, experts: int) -> None:
        """Append experts without ratings."""
        self.mass = np.hstack([self.mass, np.zeros((BUCKETS, experts))])
        self.trusted = np.r_[self.trusted, np.zeros(experts)]

    def admit(self, source: str, expert: int) -> float:
        """Return the weight of one more rating in [0, 1], and remember it."""
        self.mass *= self.discount
        self.trusted *= self.discount
        if not source:
            self.trusted[expert] += 1.0
            return 1.0
        bucket = zlib.crc32(source.encode()) % BUCKETS
        weight = float(np.clip(self.most - self.mass[bucket, expert], 0.0, 1.0))
        self.mass[bucket, expert] += weight
        return weight

    def doubt(self, contamination: float) -> Array:
        """Return how far false ratings may have moved each expert's mean, shape (e,).

        If a share `contamination` of the sources lies, and all of those about this one expert,
        they hold up to that share of what all sources could give it: it is compared with what
        the expert's evidence weighs. Without evidence there is nothing to doubt.
        """
        could_give = np.minimum(self.mass.sum(axis=1), self.most).sum()
        evidence = self.mass.sum(axis=0) + self.trusted
        false = np.full(len(evidence), contamination * could_give)
        doubt = np.divide(false, evidence, out=0 * false, where=evidence > 0)
        return np.asarray(np.minimum(1.0, doubt))


def beyond(residual: Array, doubt: Array) -> Array:
    """The part of a learnt difference that false ratings can't explain.

    If a share of ratings in [0, 1] may be false, a mean is known only up to that share (Huber
    1964, the contamination model): smaller differences from the forecast are taken for zero,
    larger ones are shortened by it.
    """
    return np.asarray(np.sign(residual) * np.maximum(np.abs(residual) - doubt, 0.0))
