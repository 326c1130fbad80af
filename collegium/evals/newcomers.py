"""Leave one model out, let it join again from K probes: how much of its worth comes back?

The *routing value* of a model's forecasts is what the pool's routing gains by them: accuracy with
the model less accuracy without it, over the same test prompts. What is *recovered* is the value of
the forecasts made from K probes over that of the forecasts of a fit on all training outcomes.

In a pool of twenty most models have no value at all: without them the pool routes as well. So the
value is taken as the mean over small pools that the model joins, drawn at random from the others
(`random`); the pool of its nearest equals by training score (`equals`) and all others (`whole`)
are told beside. A ratio over nothing says nothing: models with less than half a point of
full-data value are left out of the median; what any model loses by joining is `harm`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from collegium.evals.arrays import Bools, Floats, Ints
from collegium.evals.bootstrap import LEVEL, draw_counts
from collegium.evals.recorded import Recorded, best_known
from collegium.router.newcomers import Newcomer, choose_probes

PROBES = (20, 50, 100)
POOL = 4
"""Known models in the small pools."""
POOLS = 20
"""Random pools for each model."""
LEAST_VALUE = 0.005
"""Half a point of accuracy: below it a ratio is noise."""
RESAMPLES = 1_000
TINY = 1e-9
VIEWS = ("random", "equals", "whole")
METHODS = ("newcomer", "profile")
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


def recover(
    data: Recorded,
    *,
    probes: Sequence[int] = PROBES,
    draws: int = 3,
    seed: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[Joined]:
    """Leave every model out in turn; `draws` choices of probes are averaged."""
    shape = len(data.test), len(data.models)
    full = {view: np.zeros(shape) for view in VIEWS}
    found = {key: np.zeros(shape) for key in product(VIEWS, METHODS, probes)}
    for model in progress(range(len(data.models))):
        judge = _Judge(data, model, np.random.default_rng([seed, model]))
        for view in VIEWS:
            full[view][:, model] = judge.gain(view, data.forecasts[data.test, model])
        for k, draw in product(probes, range(draws)):
            columns = _columns(data, model, _probes(data, model, k, seed=seed + draw))
            for view, method in product(VIEWS, METHODS):
                gain = judge.gain(view, columns[method])
                found[view, method, k][:, model] += gain / draws
    rows = [np.arange(len(data.test), dtype=np.int64)]
    weights = draw_counts(rows, RESAMPLES, np.random.default_rng(seed)) / len(data.test)
    resampled = {view: weights @ table for view, table in full.items()}
    return [
        Joined(
            data.name,
            view,
            method,
            k,
            table.mean(axis=0),
            full[view].mean(axis=0),
            weights @ table,
            resampled[view],
            data.dropped,
        )
        for (view, method, k), table in found.items()
    ]


def _probes(data: Recorded, model: int, k: int, *, seed: int) -> Ints:
    """Choose k training prompts on which the newcomer was measured, by what others scored."""
    rows = data.train[np.isfinite(data.scores[data.train, model])]
    others = np.delete(data.scores[rows], model, axis=1)
    k = min(k, len(rows))
    chosen: Ints = rows[choose_probes(data.X[rows], k, outcomes=others, seed=seed)]
    return chosen


def _columns(data: Recorded, model: int, rows: Ints) -> dict[str, Floats]:
    """Forecasts for the test prompts from the probes `rows`, by method, each (n,)."""
    others = np.delete(np.arange(len(data.models)), model)
    outcomes = data.scores[rows, model]
    newcomer = Newcomer().fit(
        data.X[rows],
        outcomes,
        forecasts=data.forecasts[np.ix_(rows, others)],
        outcomes=data.scores[np.ix_(rows, others)],
    )
    joined = newcomer.predict(data.X[data.test], data.forecasts[np.ix_(data.test, others)])
    return {"newcomer": joined, "profile": _profile(data, rows, outcomes)}


def _profile(data: Recorded, rows: Ints, outcomes: Floats) -> Floats:
    """What `expert profile` makes of the probes: a level for each task, smoothed by Laplace.

    It is told the task of each test prompt, which the service has to guess.
    """
    tasks = np.asarray(data.tasks)
    levels = {
        task: (outcomes[tasks[rows] == task].sum() + 1) / ((tasks[rows] == task).sum() + 2)
        for task in np.unique(tasks)
    }
    return np.array([levels[task] for task in tasks[data.test]])


class _Judge:
    """Gains of score on the test prompts by one model's forecasts, in each view's pools."""

    def __init__(self, data: Recorded, model: int, random: np.random.Generator) -> None:
        self._own = data.scores[data.test, model]
        forecasts, scores = data.forecasts[data.test], data.scores[data.test]
        known = np.delete(np.arange(len(data.models)), model)
        size = min(POOL, len(known))
        levels = np.nanmean(data.scores[data.train], axis=0)
        nearest = known[np.argsort(np.abs(levels[known] - levels[model]), kind="stable")]
        pools = {
            "random": [random.choice(known, size, replace=False) for _ in range(POOLS)],
            "equals": [nearest[:size]],
            "whole": [known],
        }
        self._pools = {
            view: [best_known(forecasts, scores, pool) for pool in several]
            for view, several in pools.items()
        }

    def gain(self, view: str, column: Floats) -> Floats:
        """Score with the model less score without it, mean over the pools, shape (n,)."""
        gains = [
            np.nan_to_num(np.where(column > best, self._own - score, 0.0))
            for best, score in self._pools[view]
        ]
        return np.asarray(np.mean(gains, axis=0), dtype=np.float64)
