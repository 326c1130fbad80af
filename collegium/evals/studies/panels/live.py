"""Panels on a live pool's verifiable tasks, compared with samples of equal cost.

The pool's own experts have no price, so tokens are what is compared: prompts and answers of every
call. Each mode is paired, prompt by prompt, with the router's single answer, with the best single
expert (alone and sampled), and with samples of whom the router chose. The best expert is picked on
the judged prompts, in favour of the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import Bootstrap, Interval
from collegium.evals.studies.panels.hull import hull_at
from collegium.evals.studies.panels.sampled import Way
from collegium.evals.tasks.outcomes import Outcomes
from collegium.experts.questions.endpoint import ROUTER

SINGLE = "single"


@dataclass(frozen=True)
class LiveRow:
    """One way to answer, judged. What failed is wrong."""

    name: str
    kind: str
    """`expert`, `best` (its samples), `single`, `routed` (samples), `panel` or `auto`."""
    accuracy: Interval
    tokens: float
    """A query, prompts and answers of every call."""
    over_single: Interval
    """Less single routing, whatever either costs."""
    over_best: Interval
    """Less the best single expert, alone or sampled, for the same tokens."""
    over_routed: Interval
    """Less single routing and samples of its choice, for the same tokens."""
    latency_s: float | None = None
    """Median; None if it was not timed. Only comparable under equal load."""
    failures: int = 0


@dataclass(frozen=True)
class LiveStudy:
    """All ways on the same prompts."""

    rows: tuple[LiveRow, ...]
    prompts: int
    best_expert: str
    auto_over_hull: Interval | None
    """Accuracy of `auto` less the hull of single routing and all fixed modes for its tokens."""


def best_expert(experts: Outcomes) -> str:
    """The most accurate one on these prompts."""
    return experts.models[int(experts.scores.mean(axis=0).argmax())]


def single_ways(experts: Outcomes, chosen: Ints) -> list[Way]:
    """Every expert alone, and the router's choice; `chosen` (prompts,) are columns."""
    tokens = experts.tokens
    every = np.arange(len(chosen))
    alone = [
        Way(name, "expert", experts.scores[:, i], tokens[:, i])
        for i, name in enumerate(experts.models)
    ]
    return [*alone, Way(SINGLE, "single", experts.scores[every, chosen], tokens[every, chosen])]


def panel_ways(modes: Outcomes) -> list[Way]:
    """Each mode; an answer that never came is wrong and took what the others take."""
    tokens = modes.tokens
    return [
        Way(
            name.removeprefix("collegium/"),
            "auto" if name == ROUTER else "panel",
            np.nan_to_num(modes.scores[:, i]),
            _filled(tokens[:, i]),
        )
        for i, name in enumerate(modes.models)
    ]


def _filled(tokens: Floats) -> Floats:
    known = np.isfinite(tokens)
    return np.where(known, tokens, tokens[known].mean() if known.any() else 0.0)


def judge(
    ways: Sequence[Way],
    best: str,
    tasks: Sequence[str],
    *,
    modes: Outcomes | None = None,
    seed: int = 0,
) -> LiveStudy:
    """Pair all ways; each baseline's hull is drawn anew in each resample."""
    kinds = np.array([way.kind for way in ways])
    names = [way.name for way in ways]
    table = np.stack([w.scores for w in ways] + [w.tokens for w in ways], axis=1)
    bootstrap, n = Bootstrap(table, strata=tasks, seed=seed), len(ways)
    single = int(np.flatnonzero(kinds == "single")[0])
    alone = np.array([name == best for name in names]) & (kinds == "expert")

    def over(index: int, rivals: Ints) -> Interval:
        return bootstrap.bounded(
            lambda m: (
                m[..., index] - hull_at(m[..., rivals], m[..., n + rivals], m[..., n + index])
            ),
            bounds=(-1.0, 1.0),
        )

    of_best = np.flatnonzero(alone | (kinds == "best"))
    of_routed = np.flatnonzero((kinds == "single") | (kinds == "routed"))
    fixed = np.flatnonzero((kinds == "single") | (kinds == "panel"))
    extra = _measured(modes)
    rows = tuple(
        LiveRow(
            way.name,
            way.kind,
            bootstrap.mean(index),
            float(bootstrap.means[n + index]),
            bootstrap.difference(index, single),
            over(index, of_best),
            over(index, of_routed),
            *extra.get(way.name, ()),
        )
        for index, way in enumerate(ways)
    )
    auto = np.flatnonzero(kinds == "auto")
    hull = over(int(auto[0]), fixed) if auto.size else None
    return LiveStudy(rows, len(table), best, hull)


def _measured(modes: Outcomes | None) -> Mapping[str, tuple[float | None, int]]:
    """Median seconds and failures by mode."""
    if modes is None:
        return {}
    return {
        name.removeprefix("collegium/"): (
            _median(modes.extras["latency_s"][:, i]),
            int(np.isnan(modes.scores[:, i]).sum()),
        )
        for i, name in enumerate(modes.models)
    }


def _median(seconds: Floats) -> float | None:
    timed = seconds[np.isfinite(seconds)]
    return float(np.median(timed)) if timed.size else None
