"""Compute a report's metrics from choices and forecasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import RESAMPLES, Interval
from collegium.evals.core.calibration import Calibration, calibration
from collegium.evals.routing import baselines as base
from collegium.evals.routing.averages import GROUP, MACRO, MICRO, Averages
from collegium.evals.routing.choosing import Sweep, picked, sweep
from collegium.evals.routing.curves import aiq_interval
from collegium.evals.routing.exam_results import Judged, Result
from collegium.evals.routing.pairs import Pair, PairNumbers, pair_numbers
from collegium.evals.routing.routing_report import Contender, Robustness
from collegium.evals.routing.spreading import spread

COMPARED = (base.BEST_SINGLE, base.TASK_TABLE, base.TUNED_KNN)
SAME_PRICE = 1.2
"""Money decides nothing if the dearest model costs no more than so many times the cheapest."""


@dataclass(frozen=True)
class Setting:
    """What all contenders of a set are measured with."""

    exam: Judged
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    groups: tuple[str, ...] | None
    pair: Pair | None
    """None if all models cost about the same."""
    range_usd: tuple[float, float]
    """The mean cost of the cheapest and of the dearest single model."""
    paraphrases: tuple[Ints, Ints]
    """Rows of paraphrases, and of the prompts that they say the same as."""
    seed: int


def contenders(
    setting: Setting, results: Sequence[Result], *, resamples: int = RESAMPLES
) -> tuple[tuple[Contender, ...], Floats]:
    """Measure every result; also return the accuracies of the bootstrap, (resamples, results)."""
    averages = Averages(
        np.stack([result.scores for result in results], axis=1),
        setting.tasks,
        setting.groups,
        resamples=resamples,
        seed=setting.seed,
    )
    bars = {result.name: i for i, result in enumerate(results) if result.kind != "router"}
    peers = tuple(result.name for result in results if result.kind == "peer")
    rows = [
        _contender(
            setting,
            result,
            averages,
            i,
            bars,
            (*COMPARED, *peers) if result.kind == "router" else COMPARED,
            results,
        )
        for i, result in enumerate(results)
    ]
    return tuple(rows), averages.replicates


def _contender(
    setting: Setting,
    result: Result,
    averages: Averages,
    index: int,
    bars: Mapping[str, int],
    compared: Sequence[str],
    results: Sequence[Result],
) -> Contender:
    accuracy = averages.mean(index)
    best = averages.mean(bars[base.ORACLE]).estimate
    curve, pair, (low, high) = _curve(setting, result), _pair(setting, result), setting.range_usd

    def differences(weighting: str) -> dict[str, Interval]:
        others = {name: bars[name] for name in compared if bars[name] != index}
        return {name: averages.difference(index, i, weighting) for name, i in others.items()}

    return Contender(
        name=result.name,
        kind=result.kind,
        note=result.note,
        accuracy=accuracy,
        macro_accuracy=averages.mean(index, MACRO),
        groups={name: averages.mean(index, GROUP + name) for name in averages.groups},
        per_task=by_name(result.scores, setting.tasks),
        cost_usd=float(result.costs.mean()),
        apgr=pair.apgr,
        cpt50=pair.cpt50,
        cpt80=pair.cpt80,
        aiq=None
        if curve is None
        else aiq_interval(curve.costs, curve.scores, low=low, high=high, seed=setting.seed),
        gap_at_oracle=1 - accuracy.estimate / best if best > 0 else 0.0,
        calibration=_calibration(result, setting.exam.scores),
        chosen_calibration=_chosen_calibration(result),
        spread=None if result.chosen is None else spread(setting.models, result.chosen),
        robustness=_robustness(result, setting.paraphrases),
        differences=differences(MICRO),
        same_choices=tuple(
            name for name in differences(MICRO) if _same_choices(result, results[bars[name]])
        ),
        macro_differences=differences(MACRO),
        group_differences={name: differences(GROUP + name) for name in averages.groups},
        curve=() if curve is None else _points(curve),
        seconds=result.seconds,
    )


def _same_choices(result: Result, other: Result) -> bool:
    if result.chosen is None or other.chosen is None:
        return False
    return bool((result.chosen == other.chosen).all())


def by_name(scores: Floats, names: Sequence[str]) -> dict[str, float]:
    """Return the mean score of each name."""
    labels = np.asarray(names)
    return {name: float(scores[labels == name].mean()) for name in sorted(set(names))}


def _curve(setting: Setting, result: Result) -> Sweep | None:
    if result.forecasts is None or setting.pair is None:
        return None
    exam = setting.exam
    forecasts = np.where(np.isfinite(result.forecasts), result.forecasts, 0.0)
    return sweep(forecasts, exam.expected_cost, exam.scores, exam.costs)


def _points(curve: Sweep) -> tuple[tuple[float, float], ...]:
    return tuple(zip(curve.cost.tolist(), curve.quality.tolist(), strict=True))


def _pair(setting: Setting, result: Result) -> PairNumbers:
    if setting.pair is None or result.forecasts is None:
        return PairNumbers()
    strong, weak = setting.pair.strong, setting.pair.weak
    known = np.nan_to_num(result.forecasts)
    lead = known[:, strong] - known[:, weak]
    scores = setting.exam.scores
    return pair_numbers(lead, scores[:, strong], scores[:, weak], seed=setting.seed)


def _calibration(result: Result, scores: Floats) -> Calibration | None:
    if not result.honest or result.forecasts is None:
        return None
    return calibration(np.clip(result.forecasts, 0, 1), scores)


def _chosen_calibration(result: Result) -> Calibration | None:
    if not result.honest or result.forecasts is None or result.chosen is None:
        return None
    return calibration(np.clip(picked(result.forecasts, result.chosen), 0, 1), result.scores)


def _robustness(result: Result, paraphrases: tuple[Ints, Ints]) -> Robustness | None:
    rows, originals = paraphrases
    if result.chosen is None or not rows.size:
        return None
    return Robustness(
        paraphrases=len(rows),
        same_choice=float((result.chosen[rows] == result.chosen[originals]).mean()),
        score_change=float((result.scores[rows] - result.scores[originals]).mean()),
    )
