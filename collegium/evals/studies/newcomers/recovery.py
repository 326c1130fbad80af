"""How much of a model's routing value is recovered from a few of its marks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Bools, Floats
from collegium.evals.core.bootstrap import LEVEL

LEAST_VALUE = 0.005
"""Half a point of accuracy: below it a ratio is noise."""
TINY = 1e-9
ALL_SETS = "all sets"


@dataclass(frozen=True)
class Recovery:
    """One row of the report: forecasts of one method, from so many probes, in such pools.

    `median` is over the `counted` models with a full-data value of half a point or more, None
    without any; `low` and `high` are its 95 % interval by a paired bootstrap over test prompts.
    `value`, `full_value` and `harm` are means over all models: the gain of accuracy by joining
    with K probes, with all data, and the loss below the worse of full data and not joining.
    """

    data: str
    pools: str
    method: str
    probes: int
    models: int
    counted: int
    median: float | None
    low: float | None
    high: float | None
    value: float
    full_value: float
    harm: float
    dropped_prompts: int = 0
    """Prompts that do not judge, because their text is learnt from."""


@dataclass(frozen=True)
class Joined:
    """What each model brings to its pools: means over test prompts, and resampled ones.

    `value` and `full_value` have shape (models,), `values` and `full_values` (resamples, models).
    """

    data: str
    pools: str
    method: str
    probes: int
    value: Floats
    full_value: Floats
    values: Floats
    full_values: Floats
    dropped: int = 0

    def recovery(self) -> Recovery:
        """Sum it up."""
        harm = np.maximum(np.minimum(self.full_value, 0.0) - self.value, 0.0)
        median, low, high = self._median(self.full_value >= LEAST_VALUE)
        return Recovery(
            self.data,
            self.pools,
            self.method,
            self.probes,
            models=len(self.value),
            counted=int((self.full_value >= LEAST_VALUE).sum()),
            median=median,
            low=low,
            high=high,
            value=float(self.value.mean()),
            full_value=float(self.full_value.mean()),
            harm=float(harm.mean()),
            dropped_prompts=self.dropped,
        )

    def _median(self, counted: Bools) -> tuple[float | None, float | None, float | None]:
        if not counted.any():
            return None, None, None
        below = self.full_values[:, counted]
        ratios = self.values[:, counted] / np.where(np.abs(below) > TINY, below, np.nan)
        medians = np.median(ratios, axis=1)
        medians = medians[np.isfinite(medians)]  # a resample may leave a model without value
        if not medians.size:
            return None, None, None
        low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        estimate = np.median(self.value[counted] / self.full_value[counted])
        return float(estimate), float(low), float(high)


def over_sets(tables: Sequence[Sequence[Joined]]) -> list[Recovery]:
    """Rows over the models of all sets, where there is more than one."""
    if len(tables) < 2:
        return []
    return [_over_sets(several).recovery() for several in zip(*tables, strict=True)]


def _over_sets(several: Sequence[Joined]) -> Joined:
    def all_of(part: str) -> Floats:
        return np.concatenate([getattr(each, part) for each in several], axis=-1)

    return Joined(
        ALL_SETS,
        several[0].pools,
        several[0].method,
        several[0].probes,
        all_of("value"),
        all_of("full_value"),
        all_of("values"),
        all_of("full_values"),
        sum(each.dropped for each in several),
    )
