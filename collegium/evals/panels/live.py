"""Panels on a live pool's verifiable tasks, beside the router's single answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.arrays import Floats, Ints
from collegium.evals.bootstrap import Bootstrap, Interval
from collegium.evals.outcomes import Outcomes

SINGLE = "single"


@dataclass(frozen=True)
class PanelRow:
    """One mode on all prompts; a panel that failed is wrong. Tokens are of all its calls."""

    mode: str
    accuracy: Interval
    minus_single: Interval
    tokens: float
    """A query, prompts and answers of every call."""
    latency_s: float
    failures: int


def compare(
    experts: Outcomes, chosen: Ints, modes: Outcomes, *, seed: int = 0
) -> tuple[PanelRow, ...]:
    """Pair each mode with the single answer of the expert that the router chose.

    `chosen` (prompts,) are columns of `experts`; `modes` has the same prompts in the same order.
    """
    if modes.prompts != experts.prompts:
        raise ValueError("experts and panels were asked different prompts")
    every = np.arange(len(chosen))
    single = experts.scores[every, chosen]
    table = np.column_stack([single, np.nan_to_num(modes.scores)])
    bootstrap = Bootstrap(table, strata=experts.tasks, seed=seed)
    tokens = experts.prompt_tokens + experts.completion_tokens
    first = _row(SINGLE, bootstrap, 0, tokens[every, chosen], experts.latency_s[every, chosen])
    return first, *_mode_rows(modes, bootstrap)


def _mode_rows(modes: Outcomes, bootstrap: Bootstrap) -> list[PanelRow]:
    tokens = modes.prompt_tokens + modes.completion_tokens
    return [
        _row(name, bootstrap, column + 1, tokens[:, column], modes.latency_s[:, column])
        for column, name in enumerate(modes.experts)
    ]


def _row(
    name: str, bootstrap: Bootstrap, column: int, tokens: Floats, latency_s: Floats
) -> PanelRow:
    failures = int(np.isnan(tokens).sum())
    known = failures < len(tokens)
    return PanelRow(
        name,
        bootstrap.mean(column),
        bootstrap.difference(column, 0),
        float(np.nanmean(tokens)) if known else 0.0,
        float(np.nanmedian(latency_s)) if known else 0.0,
        failures,
    )


def panel_table(rows: Sequence[PanelRow]) -> list[list[str]]:
    """The rows as text, the first of them the head."""
    head = ["mode", "right", "minus single", "tokens a query", "median seconds", "failed"]
    return [head, *map(_cells, rows)]


def _cells(row: PanelRow) -> list[str]:
    accuracy, gap = row.accuracy, row.minus_single
    return [
        row.mode.removeprefix("collegium/"),
        f"{accuracy.estimate:.1%} [{accuracy.low:.1%}, {accuracy.high:.1%}]",
        f"{100 * gap.estimate:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]",
        f"{row.tokens:.0f}",
        f"{row.latency_s:.2f}",
        str(row.failures),
    ]
