"""Bets on an expert's next marks being lower than its earlier ones.

A gambler begins after every few marks. She compares what follows with all earlier marks, and bets
that each mark is low, at the odds of all marks until then. As long as the expert is as good as
it was she can't expect to win, whenever anybody looks. The sum of all gamblers' fortunes is Shin,
Ramdas and Rinaldo's e-detector ("E-detectors", New England Journal of Statistics in Data Science,
2024). What the forecasts are usually off by is not known, so a gambler bets less the fewer earlier
marks there are beside those since she began: with `m` and `n` of them, a loss of `d` is expected to
be seen as `d m / (m + n)`, for the odds learn the loss too. For normally distributed marks her
fortune would be the Bayes factor of "lost `d` since then" against "unchanged".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LOSSES = np.array([0.12, 0.3, 0.6])
"""Losses of quality that are bet on."""
SHARES = np.array([0.6, 0.2, 0.2])
"""A gambler's money on each of them: small losses need every bit, large ones are seen anyway."""
MARGIN = 0.01
"""A negligible loss."""
SAFE = 0.9
"""The most of a gambler's money that one mark can take."""
LEAST_RANGE = 0.05
LEAST_VARIANCE = 0.05
"""Of a mark: a forecast of 0.99 is not as sure as it says."""
LEAST = 50
"""Marks of a stream before its bias is known well enough to bet on it."""
MEMORY = 2000
"""Marks that a bias remembers."""
USUAL_VARIANCE = 0.16
EVERY = 4
"""Marks between two gamblers, each of whom stands for so many."""
LATEST = 150
"""Gamblers who still bet, so changes of the last 600 marks are sought."""


@dataclass(frozen=True)
class Bias:
    """The mean of mark less forecast in a stream; marks count by the inverse of their variance."""

    mean: float = 0.0
    known_by: float = 0.0
    """The inverse of the mean's variance: the sum of what its marks tell."""
    total: float = 0.0
    """The same, with marks that are forgotten."""
    count: int = 0

    def with_mark(self, score: float, forecast: float) -> Bias:
        """Count another mark."""
        told = self.information(forecast)
        together = self.known_by + told
        return Bias(
            self.mean + (score - forecast - self.mean) * told / together,
            min(together, MEMORY / USUAL_VARIANCE),
            self.total + told,
            self.count + 1,
        )

    def with_memory(self, marks: int) -> Bias:
        """Return the same mean, as if it were of so many marks at most."""
        known_by = min(self.known_by, marks / USUAL_VARIANCE)
        return Bias(self.mean, known_by, self.total, self.count)

    @property
    def known(self) -> bool:
        return self.count >= LEAST

    def expected(self, forecast: float) -> float:
        """The mark to expect of an answer with this forecast."""
        return min(max(forecast + self.mean, 0.01), 0.99)

    def information(self, forecast: float) -> float:
        """What a mark with this forecast tells: the inverse of its variance."""
        expected = self.expected(forecast)
        return 1 / max(expected * (1 - expected), LEAST_VARIANCE)


@dataclass
class Gamblers:
    """The latest gamblers on one expert, oldest first."""

    fortunes: Array = field(default_factory=lambda: np.zeros((0, len(LOSSES))))
    begun: list[tuple[int, Mapping[str, Bias]]] = field(default_factory=list)
    """The number of marks when each began, and the streams' biases then."""
    _before: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def join(self, marks: int, biases: Mapping[str, Bias]) -> None:
        """Let another one begin."""
        self._before = {}
        self.begun = [*self.begun[1 - LATEST :], (marks, dict(biases))]
        self.fortunes = np.vstack([self.fortunes[1 - LATEST :], SHARES])

    def bet(self, stream: str, now: Bias, score: float, forecast: float) -> None:
        """Settle everybody's bet on one mark."""
        if stream not in self._before:
            self._before[stream] = self._known_before(stream)
        earlier, total = self._before[stream]
        share = earlier / np.maximum(earlier + now.total - total, 1e-9)
        expected = now.expected(forecast)
        most = SAFE / max(1 - expected + MARGIN, LEAST_RANGE)
        stakes = np.minimum(np.outer(share, LOSSES * now.information(forecast)), most)
        self.fortunes *= 1 - stakes * (score - expected + MARGIN)

    def _known_before(self, stream: str) -> tuple[Array, Array]:
        """What was known of a stream's bias when each began: `known_by` and `total`."""
        before = [biases.get(stream, NOTHING) for _, biases in self.begun]
        return np.array([b.known_by for b in before]), np.array([b.total for b in before])

    def wealth(self) -> float:
        """All fortunes, each for the marks between two gamblers."""
        return EVERY * float(self.fortunes.sum())

    def richest(self) -> tuple[int, Mapping[str, Bias]]:
        """When the expert changed, most likely, and the biases until then."""
        return self.begun[int(self.fortunes.sum(axis=1).argmax())]


NOTHING = Bias()
