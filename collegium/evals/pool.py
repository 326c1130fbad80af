"""Judge a router on outcomes: against every expert alone, chance, a task table and the best choice.

Conventions, all in favour of what the router is compared with: the best single expert is picked on
the very prompts that are judged; prompts that not every expert answered are left out for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.arrays import Floats, Ints
from collegium.evals.bootstrap import RESAMPLES, Bootstrap, Interval
from collegium.evals.calibration import Calibration, calibration
from collegium.evals.outcomes import Outcomes
from collegium.evals.pool_report import (
    ORACLE,
    RANDOM,
    ROUTER,
    TASK_TABLE,
    ChatShare,
    Kind,
    Overhead,
    PoolReport,
    Row,
    SpecialistResult,
    Spread,
    TaskResult,
)
from collegium.evals.provenance import provenance

# A router that sends nine prompts in ten to one expert makes the others idle: look at it.
COLLAPSED = 0.9


@dataclass(frozen=True)
class _Column:
    """One way to answer: its name, and its score on every prompt."""

    name: str
    kind: Kind
    scores: Floats
    note: str = ""


def evaluate(
    outcomes: Outcomes,
    choices: Mapping[str, Ints],
    *,
    validation: Outcomes | None = None,
    forecasts: Floats | None = None,
    overhead_ms: Floats | None = None,
    generalist: str | None = None,
    specialists: Mapping[str, str] | None = None,
    chat: ChatShare | None = None,
    command: str = "",
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PoolReport:
    """Return the report on the router `choices["router"]`; other choices become further rows.

    `choices` and `forecasts` have a row for each prompt of `outcomes`; the task table is learnt
    from `validation`. `specialists` maps a task to its expert, by default the one of its name.
    """
    _check(outcomes, choices, forecasts)
    answered = np.flatnonzero(outcomes.complete)
    if not answered.size:
        raise ValueError("no prompt was answered by every expert")
    kept = outcomes.rows(answered.tolist())
    chosen = {name: np.asarray(choice)[answered] for name, choice in choices.items()}
    columns = _columns(kept, chosen, validation)
    best = int(kept.scores.mean(axis=0).argmax())
    bootstrap = _bootstrap(columns, kept.tasks, seed=seed, resamples=resamples)
    counts = _counts(outcomes, kept, validation) | {"resamples": resamples}
    known = None if forecasts is None else forecasts[answered]
    router = chosen[ROUTER]
    return PoolReport(
        best_single_expert=kept.experts[best],
        generalist=generalist,
        rows=_rows(columns, bootstrap),
        per_task=_per_task(kept, columns, router, seed=seed, resamples=resamples),
        intervals=_intervals(columns, bootstrap, best),
        specialists=_specialists(kept, generalist, specialists, seed=seed, resamples=resamples),
        spread=spread(kept.experts, router),
        provenance=provenance(command, seed, counts),
        calibration=None if known is None else calibration(known, kept.scores),
        chosen_calibration=_calibration_of_choices(known, kept.scores, router),
        chat=chat,
        overhead=None if overhead_ms is None else overhead(overhead_ms),
    )


def task_table(outcomes: Outcomes) -> dict[str, int]:
    """Return the column of the best expert for each task; "" stands for any other task."""
    known = outcomes.rows(np.flatnonzero(outcomes.complete).tolist())
    if not known.prompts:
        raise ValueError("a task table needs a prompt that every expert answered")
    tasks = np.array(known.tasks)
    table = {"": int(known.scores.mean(axis=0).argmax())}
    for task in sorted(set(known.tasks)):
        table[task] = int(known.scores[tasks == task].mean(axis=0).argmax())
    return table


def spread(experts: Sequence[str], chosen: Ints) -> Spread:
    """Return each expert's share of the prompts, its entropy and whether the router collapsed."""
    shares = np.bincount(chosen, minlength=len(experts)) / len(chosen)
    used = shares[shares > 0]
    top = int(shares.argmax())
    return Spread(
        shares=dict(zip(experts, shares.tolist(), strict=True)),
        top_expert=experts[top],
        top_share=float(shares[top]),
        entropy_bits=float(-(used * np.log2(used)).sum()) + 0.0,  # no -0.0
        most_entropy_bits=float(np.log2(len(experts))),
        collapsed=len(experts) > 1 and bool(shares[top] > COLLAPSED),
    )


def overhead(milliseconds: Floats) -> Overhead:
    """Summarise the router's time per prompt."""
    median, p95 = np.quantile(milliseconds, [0.5, 0.95])
    return Overhead(float(milliseconds.mean()), float(median), float(p95))


def chat_share(chosen: Sequence[str], generalist: str, source: str) -> ChatShare:
    """Return how many of the experts chosen for chat prompts are the generalist."""
    hits = np.array([[expert == generalist] for expert in chosen], dtype=np.float64)
    share = Bootstrap(hits).mean(0)
    return ChatShare(share.estimate, share.low, share.high, len(chosen), source)


def _check(outcomes: Outcomes, choices: Mapping[str, Ints], forecasts: Floats | None) -> None:
    if ROUTER not in choices:
        raise ValueError(f"the choices of '{ROUTER}' are needed")
    for name, choice in choices.items():
        if np.shape(choice) != (len(outcomes.prompts),):
            raise ValueError(f"'{name}' must choose one expert for each prompt")
        if len(choice) and not 0 <= np.min(choice) <= np.max(choice) < len(outcomes.experts):
            raise ValueError(f"'{name}' chose an expert that has no outcomes")
    if forecasts is not None and forecasts.shape != outcomes.scores.shape:
        raise ValueError("forecasts need a number for each prompt and expert")


def _counts(outcomes: Outcomes, kept: Outcomes, validation: Outcomes | None) -> dict[str, int]:
    return {
        "prompts": len(kept.prompts),
        "left_out": len(outcomes.prompts) - len(kept.prompts),
        "experts": len(kept.experts),
        "validation_prompts": 0 if validation is None else int(validation.complete.sum()),
    }


def _columns(
    outcomes: Outcomes, choices: Mapping[str, Ints], validation: Outcomes | None
) -> list[_Column]:
    scores, every = outcomes.scores, np.arange(len(outcomes.prompts))
    if validation is not None and validation.experts != outcomes.experts:
        raise ValueError("the validation outcomes are those of other experts")
    table = task_table(outcomes if validation is None else validation)
    picks = np.array([table.get(task, table[""]) for task in outcomes.tasks])
    learnt = "learnt on validation prompts"
    if validation is None:
        learnt = "learnt on the judged prompts themselves, so it flatters"
    return [
        *(_Column(name, "expert", scores[:, i]) for i, name in enumerate(outcomes.experts)),
        _Column(RANDOM, "baseline", scores.mean(axis=1), "expected value of a random expert"),
        _Column(TASK_TABLE, "baseline", scores[every, picks], f"best expert per task, {learnt}"),
        *(_Column(name, "router", scores[every, chosen]) for name, chosen in choices.items()),
        _Column(ORACLE, "oracle", scores.max(axis=1), "best expert per prompt, known afterwards"),
    ]


def _bootstrap(
    columns: Sequence[_Column], strata: Sequence[str] | None, *, seed: int, resamples: int
) -> Bootstrap:
    table = np.stack([column.scores for column in columns], axis=1)
    return Bootstrap(table, strata=strata, seed=seed, resamples=resamples)


def _rows(columns: Sequence[_Column], bootstrap: Bootstrap) -> tuple[Row, ...]:
    found = [bootstrap.mean(index) for index in range(len(columns))]
    return tuple(
        Row(column.name, column.kind, each.estimate, each.low, each.high, column.note)
        for column, each in zip(columns, found, strict=True)
    )


def _per_task(
    outcomes: Outcomes, columns: Sequence[_Column], router: Ints, *, seed: int, resamples: int
) -> tuple[TaskResult, ...]:
    results = []
    tasks = np.array(outcomes.tasks)
    for task in sorted(set(outcomes.tasks)):
        rows = np.flatnonzero(tasks == task)
        part = [_Column(c.name, c.kind, c.scores[rows], c.note) for c in columns]
        bootstrap = _bootstrap(part, None, seed=seed, resamples=resamples)
        shares = spread(outcomes.experts, router[rows]).shares
        results.append(TaskResult(task, len(rows), _rows(part, bootstrap), shares))
    return tuple(results)


def _intervals(
    columns: Sequence[_Column], bootstrap: Bootstrap, best: int
) -> dict[str, Interval | None]:
    place = {(column.name, column.kind): index for index, column in enumerate(columns)}
    router, oracle = place[ROUTER, "router"], place[ORACLE, "oracle"]
    table, chance = place[TASK_TABLE, "baseline"], place[RANDOM, "baseline"]
    return {
        "gap_closed": bootstrap.gap_closed(router, best, oracle),
        "router_minus_best_single": bootstrap.difference(router, best),
        "router_minus_task_table": bootstrap.difference(router, table),
        "router_minus_random": bootstrap.difference(router, chance),
        "oracle_minus_router": bootstrap.difference(oracle, router),
        "oracle_minus_best_single": bootstrap.difference(oracle, best),
    }


def _specialists(
    outcomes: Outcomes,
    generalist: str | None,
    specialists: Mapping[str, str] | None,
    *,
    seed: int,
    resamples: int,
) -> tuple[SpecialistResult, ...]:
    """Compare each task's specialist with the generalist."""
    if generalist is None:
        return ()
    experts = specialists or {task: task for task in outcomes.tasks if task in outcomes.experts}
    tasks = np.array(outcomes.tasks)
    results = []
    for task, expert in sorted(experts.items()):
        rows = np.flatnonzero(tasks == task)
        if expert == generalist or not rows.size:
            continue
        pair = outcomes.scores[np.ix_(rows, outcomes.indices([expert, generalist]))]
        bootstrap = Bootstrap(pair, seed=seed, resamples=resamples)
        mean, other, difference = bootstrap.mean(0), bootstrap.mean(1), bootstrap.difference(0, 1)
        results.append(
            SpecialistResult(task, len(rows), expert, generalist, mean, other, difference)
        )
    return tuple(results)


def _calibration_of_choices(
    forecasts: Floats | None, scores: Floats, router: Ints
) -> Calibration | None:
    if forecasts is None:
        return None
    every = np.arange(len(router))
    return calibration(forecasts[every, router], scores[every, router])
