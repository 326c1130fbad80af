"""Paired bootstrap over prompts: confidence intervals of measured numbers.

The percentile interval of Efron & Tibshirani, "An Introduction to the Bootstrap" (1993),
chapter 13: draw as many prompts as there are, with replacement, many times over; the middle 95 %
of the statistic's values is its interval. It is paired: every column (an expert, a router) is
averaged over the same draw, so that prompts hard for all cancel out of a difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints

RESAMPLES = 2_000
LEVEL = 0.95
# Draws held in memory at once; 4 million take about 100 MB.
CHUNK = 4_000_000
TINY = 1e-12

Statistic = Callable[[Floats], Floats]
"""From column means, shape (..., columns), to one number each, shape (...)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the range that holds the true value with 95 % confidence."""

    estimate: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Say whether the difference from `value` is more than chance."""
        return not self.low <= value <= self.high


class Bootstrap:
    """Columns of per-prompt numbers, resampled once; every interval comes from the same draws."""

    def __init__(
        self,
        columns: Floats,
        *,
        strata: Sequence[str] | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:
        self.prompts = len(columns)
        self.replicates = resampled_means(columns, strata=strata, resamples=resamples, seed=seed)
        self.means: Floats = columns.mean(axis=0)

    def mean(self, column: int) -> Interval:
        """Return the interval of a column's mean; its numbers lie in [0, 1]."""
        return self.bounded(lambda means: means[..., column], bounds=(0.0, 1.0))

    def difference(self, column: int, other: int) -> Interval:
        """Return the interval of one column's mean less another's."""
        return self.bounded(lambda m: m[..., column] - m[..., other], bounds=(-1.0, 1.0))

    def interval(self, statistic: Statistic) -> Interval | None:
        """Return the interval of a function of the means, or None if it is undefined.

        Resamples in which it is undefined (a ratio over zero) are left out.
        """
        return percentile_interval(float(statistic(self.means)), statistic(self.replicates))

    def bounded(self, statistic: Statistic, bounds: tuple[float, float]) -> Interval:
        """Return the interval of a function that lies within bounds and is always defined.

        It is honest where no resample differs, see `without_variation`.
        """
        found = self.interval(statistic)
        if found is None:
            raise ValueError("the columns hold numbers that are not finite")
        if found.high - found.low > TINY:
            return found
        return without_variation(found.estimate, prompts=self.prompts, bounds=bounds)


def percentile_interval(estimate: float, values: Floats) -> Interval | None:
    """Return the middle 95 % of a statistic's values in the resamples, if it is defined."""
    values = values[np.isfinite(values)]
    if not np.isfinite(estimate) or not values.size:
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def without_variation(estimate: float, *, prompts: int, bounds: tuple[float, float]) -> Interval:
    """Return an honest interval where every prompt agrees and resampling shows no doubt at all.

    What was seen in none of n prompts still happens with probability up to 1 - 0.025^(1/n)
    (Clopper & Pearson 1934), and may then be as far off as the bounds.
    """
    unseen = 1 - ((1 - LEVEL) / 2) ** (1 / prompts)
    low, high = bounds
    return Interval(
        estimate, estimate - (estimate - low) * unseen, estimate + (high - estimate) * unseen
    )


def gap_closed(router: Floats, single: Floats, oracle: Floats) -> Floats:
    """Return (router - single) / (oracle - single); NaN if there is no gap."""
    gap = np.asarray(oracle - single, dtype=np.float64)
    closed: Floats = np.full(gap.shape, np.nan)
    np.divide(router - single, gap, out=closed, where=gap > TINY)
    return closed


def resampled_means(
    columns: Floats,
    *,
    strata: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Floats:
    """Average each column over `resamples` draws of its rows: shape (resamples, columns).

    With `strata` (a label a row, such as its task) each draw keeps every stratum's size, which is
    right where the number of prompts a task has was chosen and not drawn.
    """
    if columns.ndim != 2 or not len(columns):
        raise ValueError("a bootstrap needs a table of at least one prompt")
    if not np.isfinite(columns).all():
        raise ValueError("a bootstrap needs finite numbers; leave missing cells out first")
    groups = strata_rows(strata, len(columns))
    random = np.random.default_rng(seed)
    means = np.empty((resamples, columns.shape[1]))
    step = max(1, CHUNK // len(columns))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        means[start : start + size] = draw_counts(groups, size, random) @ columns / len(columns)
    return means


def draw_counts(groups: Sequence[Ints], draws: int, random: np.random.Generator) -> Floats:
    """Count how often each row is drawn, in each draw: shape (draws, rows)."""
    rows = sum(len(group) for group in groups)
    drawn = [group[random.integers(len(group), size=(draws, len(group)))] for group in groups]
    offset = rows * np.arange(draws)[:, None]
    flat = (np.concatenate(drawn, axis=1) + offset).ravel()
    return np.bincount(flat, minlength=draws * rows).reshape(draws, rows).astype(np.float64)


def strata_rows(strata: Sequence[str] | None, rows: int) -> list[Ints]:
    """Return the rows of each stratum; all of them where there are no strata."""
    if strata is None:
        return [np.arange(rows, dtype=np.int64)]
    if len(strata) != rows:
        raise ValueError(f"{len(strata)} strata for {rows} rows")
    labels = np.asarray(strata)
    return [np.flatnonzero(labels == label).astype(np.int64) for label in np.unique(labels)]
