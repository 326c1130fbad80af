"""Evaluate routers on data sets: the core of `collegium eval routing`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import RESAMPLES, Interval, percentile_interval
from collegium.evals.routing.choosing import choose, picked
from collegium.evals.routing.curves import aiq
from collegium.evals.routing.exam_results import (
    Decisions,
    Judged,
    Tick,
    decided_by,
    judged,
    results,
)
from collegium.evals.routing.lessons import Forecaster, Peer, means
from collegium.evals.routing.measures import COMPARED, SAME_PRICE, Setting, contenders
from collegium.evals.routing.pairs import Pair
from collegium.evals.routing.peer_results import peer_results
from collegium.evals.routing.problem import Problem
from collegium.evals.routing.routing_report import Mean, SetReport

NO_PEERS: Mapping[str, Peer] = MappingProxyType({})
NO_DECISIONS: Mapping[str, Decisions] = MappingProxyType({})


@dataclass(frozen=True)
class Evaluated:
    """A set's report, and the draws of its bootstrap from which means over sets are made."""

    report: SetReport
    replicates: Floats
    """Accuracies, shape (resamples, contenders)."""


def evaluate(
    problem: Problem,
    X: Floats,
    routers: Mapping[str, Forecaster],
    *,
    peers: Mapping[str, Peer] = NO_PEERS,
    decided: Mapping[str, Decisions] = NO_DECISIONS,
    seed: int = 0,
    resamples: int = RESAMPLES,
    tick: Tick = lambda name: None,
) -> Evaluated:
    """Let routers, peers and baselines learn and choose, and measure them.

    `X` has a row a prompt; `decided` has a decision for each judged one.
    """
    exam = judged(problem)
    setting = _setting(problem, exam, seed)
    visiting, peer_notes = peer_results(problem, X, exam, peers, tick=tick)
    made = [decided_by(exam, name, each) for name, each in decided.items()]
    found = [*results(problem, X, routers, tick=tick), *made, *visiting]
    rows, replicates = contenders(setting, found, resamples=resamples)
    strong, weak = _strong_and_weak(problem, exam)
    report = SetReport(
        name=problem.name,
        models=dict(zip(problem.models, means(exam.scores).tolist(), strict=True)),
        model_costs=dict(zip(problem.models, exam.costs.mean(axis=0).tolist(), strict=True)),
        train_prompts=len(problem.train_rows),
        test_prompts=len(problem.test_rows),
        tasks={task: setting.tasks.count(task) for task in sorted(set(setting.tasks))},
        unseen_tasks=_unseen_tasks(problem),
        folds=len(problem.folds),
        strong=problem.models[strong],
        weak=problem.models[weak],
        cost_source=problem.cost_source,
        zero_router_aiq=_zero_router_aiq(exam, setting),
        notes=(*problem.notes, *peer_notes, *_price_note(setting)),
        dropped_prompts=problem.dropped,
        contenders=rows,
    )
    return Evaluated(report, replicates)


def mean_differences(evaluated: Sequence[Evaluated]) -> tuple[Mean, ...]:
    """Average each router's differences over sets, with the interval of independent draws.

    Peers without a row in some set have no mean.
    """
    if len(evaluated) < 2:
        return ()
    everywhere = set.intersection(*({row.name for row in e.report.peers} for e in evaluated))
    peers = [row.name for row in evaluated[0].report.peers if row.name in everywhere]
    others = (*COMPARED, *peers)
    return tuple(
        Mean(
            router.name,
            {other: _mean_difference(evaluated, router.name, other) for other in others},
        )
        for router in evaluated[0].report.routers
    )


def _mean_difference(evaluated: Sequence[Evaluated], router: str, other: str) -> Interval:
    estimates, draws = [], []
    for each in evaluated:
        ours = {row.name: i for i, row in enumerate(each.report.contenders) if row.kind == "router"}
        bars = {row.name: i for i, row in enumerate(each.report.contenders) if row.kind != "router"}
        left, right = ours[router], bars[other]
        rows = each.report.contenders
        estimates.append(rows[left].accuracy.estimate - rows[right].accuracy.estimate)
        draws.append(each.replicates[:, left] - each.replicates[:, right])
    found = percentile_interval(float(np.mean(estimates)), np.mean(draws, axis=0))
    assert found is not None  # accuracies are finite
    return found


def _setting(problem: Problem, exam: Judged, seed: int) -> Setting:
    rows = problem.test_rows
    single = exam.costs.mean(axis=0)
    alike = len(single) < 2 or single.max() <= SAME_PRICE * single.min()
    groups = problem.groups
    return Setting(
        exam=exam,
        models=problem.models,
        tasks=tuple(problem.tasks[row] for row in rows),
        groups=None if groups is None else tuple(groups[row] for row in rows),
        pair=None if alike else Pair(*_strong_and_weak(problem, exam)),
        range_usd=(float(single.min()), float(single.max())),
        paraphrases=_paraphrases(problem, rows),
        seed=seed,
    )


def _strong_and_weak(problem: Problem, exam: Judged) -> tuple[int, int]:
    """Return the best model on training prompts, and the cheapest of the others."""
    strong = int(means(problem.scores[problem.train_rows]).argmax())
    others = exam.expected_cost.copy()
    others[strong] = np.inf
    return strong, int(others.argmin()) if len(others) > 1 else strong


def _paraphrases(problem: Problem, rows: Ints) -> tuple[Ints, Ints]:
    """Return the places of judged paraphrases, and of their judged originals."""
    place = {problem.prompt_ids[row]: i for i, row in enumerate(rows)}
    pairs = [
        (i, place[problem.originals[row]])
        for i, row in enumerate(rows)
        if problem.originals[row] != problem.prompt_ids[row] and problem.originals[row] in place
    ]
    table = np.array(pairs, dtype=np.int64).reshape(len(pairs), 2)
    return table[:, 0], table[:, 1]


def _unseen_tasks(problem: Problem) -> tuple[str, ...]:
    tasks = np.asarray(problem.tasks)
    unseen = [set(tasks[fold.test]) - set(tasks[fold.train]) for fold in problem.folds]
    return tuple(sorted(map(str, set().union(*unseen))))


def _zero_router_aiq(exam: Judged, setting: Setting) -> float | None:
    """Return the AIQ of the hull of single models: RouterBench's "zero router"."""
    if setting.pair is None:
        return None
    columns = range(len(setting.models))
    preferences = np.eye(len(columns))[:, None, :] * np.ones((1, len(exam.scores), 1))
    alone = [choose(preferences[i], exam.measured, exam.expected_cost) for i in columns]
    cost = np.array([picked(exam.costs, chosen).mean() for chosen in alone])
    quality = np.array([picked(exam.scores, chosen).mean() for chosen in alone])
    low, high = setting.range_usd
    return aiq(cost, quality, low=low, high=high)


def _price_note(setting: Setting) -> list[str]:
    if setting.pair is not None:
        return []
    return ["all models cost about the same: AIQ, APGR and CPT say nothing here"]
