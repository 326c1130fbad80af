"""Families of tasks without marks, and an expert that joins late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.studies.adoption.playing import Adopted, with_experts
from collegium.evals.studies.adoption.rows import Row, Tell
from collegium.evals.studies.adoption.worlds import World, unseen
from collegium.router.vectors import Encoder

Z90 = 1.645
PROBES = 50


def families(world: World) -> list[str]:
    """The sets that a world is made of."""
    return sorted({task.split("/")[0] for task in world.tasks})


def unseen_rows(
    world: World, X: Floats, encoder: Encoder, replays: int, *, seed: int, tell: Tell
) -> Iterator[Row]:
    """Each set left out of the marks and judged: as new applications, and as anonymous traffic.

    None if there is only one set, for then no marks are left.
    """
    left = families(world)
    if len(left) < 2:
        tell("no unseen sets: there is only one set")
        return
    for family in left:
        for told in (world, world.without_applications()):
            left_out, _ = unseen(told, family)
            random = np.random.default_rng(seed)
            rows = random.permutation(left_out.train)[:replays]
            adopted = Adopted.on(left_out, rows, encoder)
            tell(f"{left_out.name}: judged on {len(left_out.judges)} prompts")
            yield _unseen_row(left_out, adopted, X, rows, told is world)


def _unseen_row(world: World, adopted: Adopted, X: Floats, rows: Ints, told: bool) -> Row:
    judges = world.judges
    readings = adopted.readings(X[judges], judges)
    chosen = adopted.chosen(adopted.decisions(readings, judges, "auto"))
    incumbent = int(world.scores[rows].mean(axis=0).argmax())
    scores, usd = world.scores[judges], world.usd[judges]
    got = scores[np.arange(len(judges)), chosen]
    quality = np.array([r.quality.array for r in readings])
    deviation = np.array([r.deviation.array for r in readings])
    return _plain_row(
        f"{world.name}",
        len(rows),
        "auto",
        got,
        usd[np.arange(len(judges)), chosen],
        scores[:, incumbent],
        usd[:, incumbent],
        told=told,
        further={"coverage_90": _coverage(world, judges, scores, quality, deviation)},
    )


def _coverage(
    world: World, judges: Ints, scores: Floats, quality: Floats, deviation: Floats
) -> float:
    """The share of tasks and experts whose mean score lies in the 90 % interval of its forecast."""
    tasks = np.array(world.tasks)[judges]
    inside = []
    for task in np.unique(tasks):
        rows = tasks == task
        truth, noise = scores[rows].mean(axis=0), scores[rows].std(axis=0) / np.sqrt(rows.sum())
        width = Z90 * np.sqrt(deviation[rows].mean(axis=0) ** 2 + noise**2)
        inside.append(np.abs(truth - quality[rows].mean(axis=0)) <= width)
    return float(np.mean(inside))


def newcomer_rows(
    world: World, X: Floats, encoder: Encoder, replays: int, *, seed: int, tell: Tell
) -> Iterator[Row]:
    """Each expert joins the other seven: with 50 marks of its own, and without any."""
    random = np.random.default_rng(seed)
    rows = random.permutation(world.train)[:replays]
    for number, expert in enumerate(world.experts):
        others = with_experts(world, tuple(e for e in world.experts if e is not expert))
        before = _scored(others, Adopted.on(others, rows, encoder), X)
        marks = world.scores[rows].copy()
        full = _scored(world, Adopted.on(world, rows, encoder, scores=marks), X)
        few = marks.copy()
        few[random.permutation(len(rows))[PROBES:], number] = np.nan
        some = _scored(world, Adopted.on(world, rows, encoder, scores=few), X)
        none = marks.copy()
        none[:, number] = np.nan
        unmarked = _scored(world, Adopted.on(world, rows, encoder, scores=none), X)
        tell(f"newcomer {expert.name}")
        yield _newcomer_row(world, len(rows), expert.name, before, full, some, unmarked)


def _scored(world: World, adopted: Adopted, X: Floats) -> tuple[Floats, Floats]:
    """Score and dollars of each judging prompt under `auto`."""
    judges = world.judges
    readings = adopted.readings(X[judges], judges)
    chosen = adopted.chosen(adopted.decisions(readings, judges, "auto"))
    each = np.arange(len(judges))
    return world.scores[judges][each, chosen], world.usd[judges][each, chosen]


def _newcomer_row(
    world: World,
    replays: int,
    expert: str,
    before: tuple[Floats, Floats],
    full: tuple[Floats, Floats],
    some: tuple[Floats, Floats],
    unmarked: tuple[Floats, Floats],
) -> Row:
    full_gain, gain, change = (
        100 * float((after[0] - before[0]).mean()) for after in (full, some, unmarked)
    )
    return _plain_row(
        f"newcomer {expert}",
        replays,
        "auto",
        some[0],
        some[1],
        before[0],
        before[1],
        told=True,
        further={
            "marks_of_newcomer": min(PROBES, replays),
            "full_gain": full_gain,
            "gain": gain,
            "unmarked_change": change,
        },
    )


def _plain_row(
    name: str,
    replays: int,
    policy: str,
    scores: Floats,
    usd: Floats,
    usual_scores: Floats,
    usual_usd: Floats,
    *,
    told: bool,
    further: dict[str, Any],
) -> Row:
    """A row of one draw, against one usual choice."""
    difference = float((scores - usual_scores).mean())
    saved = 1 - float(usd.mean() / usual_usd.mean())
    return Row(
        world=name,
        replays=replays,
        labels="reference",
        applications=told,
        policy=policy,
        accuracy=float(scores.mean()),
        usd_per_1k=1000 * float(usd.mean()),
        best_single_accuracy=float(usual_scores.mean()),
        best_single_usd_per_1k=1000 * float(usual_usd.mean()),
        saved=saved,
        saved_interval=(np.nan, np.nan),
        table_saved=np.nan,
        violations=float(difference < -0.01),
        draws=1,
        further=further,
    )
