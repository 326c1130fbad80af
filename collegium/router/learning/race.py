"""Save replays: drop experts that no trade-off would choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FIRST = 6
"""Prompts of an application that every expert answers before anybody is dropped. In a world of 31
applications, 60 % of the dollars of 800 prompts to everybody saved 63 % of the money with 6, 60 %
with 8 and an earlier end (0.2 in the place of `UNLIKELY`), 58 % with 24; all of them 58 %."""
ROUND = 6
"""Prompts of an application between two looks."""
UNLIKELY = 0.03
"""An expert leaves when, at every trade-off, it is the best choice with less than this chance."""
DRAWS = 400
PRIOR_MARKS = 4.0
"""Marks at the expert's overall level that each application starts with."""
STEPS = np.r_[0.0, np.geomspace(0.01, 1.0, 12)]
"""Trade-offs: P(correct) given up for the mean price of the dearest expert."""


@dataclass(frozen=True)
class Race:
    """Decides who is still asked in each application.

    Successive elimination (Even-Dar et al., JMLR 2006) on the posterior chance of being the best
    choice (Russo, "Simple Bayesian algorithms for best-arm identification", 2020) rather than on
    confidence bounds: an expert stays in an application as long as some trade-off between quality
    and money might choose it. `always` are never dropped: their answers are free, or they are
    what the others are compared with.
    """

    experts: Sequence[str]
    always: frozenset[str] = frozenset()
    seed: int = 0

    def survivors(
        self, scores: Array, cost: Array, applications: Sequence[str | None]
    ) -> dict[str | None, tuple[str, ...]]:
        """The experts to ask further in each application.

        `scores` (n, e) are the marks so far, NaN where there is none; `cost` (n, e) is what an
        answer costs in dollars, by forecast where it was not asked for; `applications` (n).
        """
        names = np.array(["" if a is None else a for a in applications])
        found: dict[str | None, tuple[str, ...]] = {}
        for name in dict.fromkeys(applications):
            rows = np.flatnonzero(names == ("" if name is None else name))
            found[name] = self._of_application(scores, cost, rows)
        return found

    def _of_application(
        self, scores: Array, cost: Array, rows: NDArray[np.intp]
    ) -> tuple[str, ...]:
        own = scores[rows]
        marked = ~np.isnan(own)
        if marked.any(axis=1).sum() < FIRST:
            return tuple(self.experts)
        chance = self._chances(scores, own, np.nanmean(cost[rows], axis=0))
        return tuple(
            name
            for name, p in zip(self.experts, chance, strict=True)
            if p >= UNLIKELY or name in self.always
        )

    def _chances(self, scores: Array, own: Array, cost: Array) -> Array:
        """Return each expert's highest probability, over all trade-offs, to be the best choice,
        shape (e,).
        """
        mean, deviation = paired_levels(scores, own)
        random = np.random.default_rng(self.seed)
        draws = mean + deviation * random.standard_normal((DRAWS, len(mean)))
        # A constant trade-off over the draws: each is a world in which somebody is best.
        price = STEPS / max(float(cost.max()), 1e-12)
        worth = draws[None] - (price[:, None] * cost)[:, None, :]
        best = worth.argmax(axis=2)
        shares = np.stack([(best == e).mean(axis=1) for e in range(len(mean))])
        return np.asarray(shares.max(axis=1))


def paired_levels(scores: Array, own: Array) -> tuple[Array, Array]:
    """Posterior mean and deviation of each expert's level in an application, shape (e,) each.

    Prompts have effects of their own: an expert is compared on the prompts that it answered, or
    one that stayed for the easy ones alone would look better than it is. `scores` are the marks
    of all applications, `own` (n, e) those of this one.
    """
    marked = ~np.isnan(own)
    level = np.nanmean(np.where(marked.any(axis=0), own, np.nan), axis=0)
    overall = _safe_mean(scores)
    level = np.where(np.isnan(level), overall, level)
    # Two steps of alternating least squares for expert and prompt effects.
    effect = np.zeros(len(own))
    for _ in range(2):
        residual = np.where(marked, own - level, 0.0)
        effect = residual.sum(axis=1) / np.maximum(marked.sum(axis=1), 1)
        shifted = np.where(marked, own - effect[:, None], 0.0)
        count = marked.sum(axis=0)
        level = (shifted.sum(axis=0) + PRIOR_MARKS * overall) / (count + PRIOR_MARKS)
    residual = np.where(marked, own - effect[:, None] - level, 0.0)
    freedom = max(int(marked.sum()) - len(own) - own.shape[1], 1)
    variance = max(float((residual**2).sum()) / freedom, 0.02)
    return level, np.sqrt(variance / (marked.sum(axis=0) + PRIOR_MARKS))


def _safe_mean(scores: Array) -> Array:
    seen = ~np.isnan(scores)
    total = np.where(seen, scores, 0.0).sum(axis=0)
    return np.asarray((total + 0.5) / (seen.sum(axis=0) + 1.0))
