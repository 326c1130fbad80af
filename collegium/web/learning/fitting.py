"""Fit a router to marks and report the improvement to expect, in a separate process."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collegium.experts.child import end_with
from collegium.router.learning.evidence import Table
from collegium.router.learning.race import FIRST

if TYPE_CHECKING:
    from collegium.router.learning.panels import PlayedPanel
    from collegium.router.learning.prediction_powered import Measured

Indices = NDArray[np.intp]
FEWEST = 24
"""Marked prompts: fewer can't be split to say how a router does on others."""
FEWEST_COMPARABLE = FIRST
"""An expert's marks on prompts where another has one too. A race gives each at least as many."""


@dataclass(frozen=True)
class Fitted:
    """A router as its two files, and the report on it."""

    card: bytes
    arrays: bytes
    report: Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """The inputs of a fit besides the marks; `prices` are dollars per million tokens, by
    fingerprint.
    """

    encoder: str
    cache_dir: Path
    predictor: str | None
    prices: Mapping[str, tuple[float | None, float | None]]
    usd_a_prompt: float
    confirmed: bool
    sources: Mapping[str, Mapping[str, float | int | bool]]
    """What is known about the reliability of the sources of marks."""
    measured: Mapping[str, Measured] = field(default_factory=dict)
    """Each expert's quality with its interval, by fingerprint."""
    confirmed_of: Mapping[str, int] = field(default_factory=dict)
    """Confirmed marks of each judged expert, by fingerprint."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Comparable marks of the experts that have too few of them, by name."""


async def fit_apart(table: Table, panels: Table, setting: Setting) -> Fitted:
    """Fit in another process, so that this one can answer requests meanwhile.

    `panels` has the same rows, with the panels that were run instead of experts. When it is
    cancelled, the process is killed.
    """
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(1, context, end_with, (os.getpid(),))
    before = multiprocessing.active_children()
    try:
        fitting = asyncio.get_running_loop().run_in_executor(executor, fit, table, panels, setting)
        started = [each for each in multiprocessing.active_children() if each not in before]
        try:
            return await fitting
        except asyncio.CancelledError:
            for process in started:
                process.kill()
            raise
    finally:
        # A process that has fitted takes seconds to end: the executor's own thread waits for it.
        executor.shutdown(wait=False)


def fit(table: Table, panels: Table, setting: Setting) -> Fitted:
    """Fit a router to a table of marks; the report judges forecasts that saw none of the prompt."""
    from threadpoolctl import threadpool_limits

    from collegium.router.artifact import ARRAYS, CARD, save
    from collegium.router.encoder import make_encoder
    from collegium.router.features import SurfaceEncoder
    from collegium.router.training import fit_router

    encoder = SurfaceEncoder(make_encoder(setting.encoder, cache=setting.cache_dir, threads=1))
    with threadpool_limits(1):
        fitted = fit_router(table.measured(), encoder, quality=setting.predictor)
    report = _report(table, panels, fitted, setting)
    with tempfile.TemporaryDirectory() as name:
        save(fitted, folder := Path(name))
        return Fitted((folder / CARD).read_bytes(), (folder / ARRAYS).read_bytes(), report)


def _report(table: Table, panels: Table, fitted: Any, setting: Setting) -> dict[str, Any]:
    from collegium.router.beliefs.promise import costs
    from collegium.router.learning.report import Held, report

    rows = np.flatnonzero(table.marked())
    column = {name: i for i, name in enumerate(table.fingerprints)}
    order = np.array([column[name] for name in fitted.fingerprints], dtype=np.intp)
    prices = [setting.prices.get(name, (None, None)) for name in fitted.fingerprints]
    forecast = costs(fitted.held_tokens, prices)
    paid = table.cost_usd[np.ix_(rows, order)]
    held = Held(
        quality=fitted.beliefs.held_.quality,
        scores=table.scores[np.ix_(rows, order)],
        cost=forecast,
        usd=np.where(np.isnan(paid), forecast, paid),
        names=[table.names[i] for i in order],
        applications=[table.applications[row] for row in rows],
        texts=[table.prompts[row].text for row in rows],
        answers=_answers(table, rows, order),
        panels=_played(panels, rows),
        confirmed=setting.confirmed,
        contrast_sd=max(
            (float(told.get("contrast_sd", 0.0)) for told in setting.sources.values()), default=0.0
        ),
    )
    found = asdict(report(held, usd_a_prompt=setting.usd_a_prompt))
    for row, name in zip(found["experts"], fitted.fingerprints, strict=True):
        known = setting.measured.get(name)
        row["measured"] = None if known is None else asdict(known)
    found["warnings"] += [
        *_left_out(setting),
        *_unmeasured(fitted.fingerprints, held.names, setting),
    ]
    return {**found, "sources": {name: dict(told) for name, told in setting.sources.items()}}


def well_known(table: Table) -> tuple[Table, dict[str, int]]:
    """Return the part on experts with enough comparable marks, and the others' counts by name.

    Two lucky marks of an earlier run would make an expert the best one: forecasts know nothing of
    the luck.
    """
    counts = dict(zip(table.fingerprints, table.comparable().tolist(), strict=True))
    marked = np.asarray((~np.isnan(table.scores)).any(axis=0)).tolist()
    weak = {
        name: counts[f]
        for f, name, some in zip(table.fingerprints, table.names, marked, strict=True)
        if some and counts[f] < FEWEST_COMPARABLE
    }
    return table.of({f for f, count in counts.items() if count >= FEWEST_COMPARABLE}), weak


def _left_out(setting: Setting) -> list[str]:
    """Say which experts are too little known to be chosen."""
    if not setting.left_out:
        return []
    told = ", ".join(f"{name} ({count})" for name, count in setting.left_out.items())
    return [
        f"Too few marks to compare with those of others: {told}; {FEWEST_COMPARABLE} are needed. "
        "The router treats such an expert as one that was never measured. To measure it, ask it "
        "too: name it in `--experts`, or leave that out."
    ]


def _unmeasured(fingerprints: Sequence[str], names: Sequence[str], setting: Setting) -> list[str]:
    """Say which experts have some confirmed marks, but too few for an interval."""
    from collegium.router.learning.prediction_powered import FEWEST as FEWEST_CONFIRMED

    count = {n: setting.confirmed_of.get(f, 0) for f, n in zip(fingerprints, names, strict=True)}
    few = {name: number for name, number in count.items() if 0 < number < FEWEST_CONFIRMED}
    if not few:
        return []
    told = ", ".join(f"{name} ({number})" for name, number in few.items())
    return [
        f"Too few confirmed marks for an interval of quality: {told}; {FEWEST_CONFIRMED} of each "
        "expert are needed. Confirm more with `collegium learn confirm`."
    ]


def _played(panels: Table, rows: Indices) -> list[PlayedPanel]:
    """Return the panels that were run, on the prompts of the fit."""
    from collegium.router.learning.panels import PlayedPanel, panel_of

    found = []
    for i, seal in enumerate(panels.fingerprints):
        if (panel := panel_of(seal)) is not None:
            scores, usd = panels.scores[rows, i], panels.cost_usd[rows, i]
            found.append(PlayedPanel(*panel, scores, usd))
    return found


def _answers(table: Table, rows: Indices, order: Indices) -> dict[tuple[int, int], str]:
    """Return the answers by the indices of prompts and experts in the fit."""
    row = {int(r): i for i, r in enumerate(rows)}
    column = {int(c): i for i, c in enumerate(order)}
    return {
        (row[r], column[c]): text
        for (r, c), text in table.texts.items()
        if r in row and c in column
    }


def usd_a_prompt(table: Table) -> float:
    """Return the cost of answering one more prompt, at the prices paid so far."""
    answered = ~np.isnan(table.cost_usd)
    count = max(int(answered.any(axis=1).sum()), 1)
    return float(np.where(answered, table.cost_usd, 0.0).sum()) / count


def few(table: Table) -> str | None:
    """Return why there is too little to learn from; None if there is enough."""
    count = int(table.marked().sum())
    experts = int((~np.isnan(table.scores)).any(axis=0).sum())
    if count < FEWEST:
        return f"{count} prompts have marks; at least {FEWEST} are needed"
    return "only one expert has marks; at least two are needed" if experts < 2 else None
