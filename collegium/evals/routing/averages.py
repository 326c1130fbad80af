"""Averages of all contenders over prompts, tasks and groups, resampled together.

An average over tasks is a weighted one over prompts; with prompts drawn within their task, each
keeps its weight. So one bootstrap gives the intervals of all averages and of their differences.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from collegium.evals.core.arrays import Bools, Floats
from collegium.evals.core.bootstrap import RESAMPLES, Bootstrap, Interval

MICRO, MACRO = "", "tasks"
"""Names of the averages over prompts and over tasks; those within a group are called after it."""
GROUP = "group "
SMALL_STRATUM = 5
"""Tasks with fewer judged prompts are drawn together: alone they would seem without doubt."""


class Averages:
    """Averages of the columns of `table`, shape (prompts, contenders), in several weightings."""

    def __init__(
        self,
        table: Floats,
        tasks: Sequence[str],
        groups: Sequence[str] | None,
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:
        weights = weightings(tasks, groups)
        self.count = table.shape[1]
        self._start = {name: place * self.count for place, name in enumerate(weights)}
        self._bootstrap = Bootstrap(
            np.hstack([table * weight[:, None] for weight in weights.values()]),
            strata=strata(tasks),
            resamples=resamples,
            seed=seed,
        )

    @property
    def groups(self) -> list[str]:
        """The groups' own names."""
        return [name.removeprefix(GROUP) for name in self._start if name.startswith(GROUP)]

    @property
    def replicates(self) -> Floats:
        """The averages over prompts in each resample, shape (resamples, contenders)."""
        drawn: Floats = self._bootstrap.replicates[:, : self.count]
        return drawn

    def mean(self, column: int, weighting: str = MICRO) -> Interval:
        """Return one contender's average with its interval."""
        place = self._start[weighting] + column
        return self._bootstrap.bounded(lambda means: means[..., place], bounds=(0.0, 1.0))

    def difference(self, column: int, other: int, weighting: str = MICRO) -> Interval:
        """Return one contender's average less another's, paired."""
        left, right = (self._start[weighting] + each for each in (column, other))
        return self._bootstrap.bounded(lambda m: m[..., left] - m[..., right], bounds=(-1.0, 1.0))


def weightings(tasks: Sequence[str], groups: Sequence[str] | None) -> Mapping[str, Floats]:
    """Return each prompt's weight in each average; the weights of an average have the mean 1."""
    every = np.ones(len(tasks), dtype=bool)
    found = {MICRO: every.astype(np.float64), MACRO: macro_weights(tasks, every)}
    labels = np.asarray(groups if groups is not None else [])
    for group in np.unique(labels):
        found[f"{GROUP}{group}"] = macro_weights(tasks, labels == group)
    return found


def macro_weights(tasks: Sequence[str], part: Bools) -> Floats:
    """Return the weight of each prompt in the mean over the tasks of a part; 0 outside of it."""
    labels = np.asarray(tasks)
    _, index, counts = np.unique(labels[part], return_inverse=True, return_counts=True)
    weights = np.zeros(len(labels))
    weights[part] = len(labels) / (len(counts) * counts[index])
    return weights


def strata(tasks: Sequence[str]) -> list[str]:
    """Return each prompt's stratum for the bootstrap: its task, small tasks together."""
    names, counts = np.unique(np.asarray(tasks), return_counts=True)
    small = {str(name) for name, count in zip(names, counts, strict=True) if count < SMALL_STRATUM}
    return ["" if task in small else task for task in tasks]
