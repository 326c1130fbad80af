"""The benefit of routing on the latest answers, compared with the best single expert and with
random choice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.registry.decisions.log import LoggedDecision
from collegium.registry.storage.pages import Scope
from collegium.router.learning.past_choices import against_best_single, calibration
from collegium.router.learning.report import Held
from collegium.web.learning.evaluation import is_routed
from collegium.web.serving.parts import Parts

Json = dict[str, Any]
MOST = 500
"""The latest rated decisions that are compared."""
AT_ONCE = 200
FEWEST = 40
"""Marks: fewer say nothing of who is best (the same as for a promise)."""
MOST_EXPERTS = 64
"""The experts that were most often among the forecasts."""


async def compared(parts: Parts, scope: Scope) -> Any:
    """Compare the latest rated answers of the owners within the scope, once a minute."""
    return await parts.usage.remembered(("comparison", scope), lambda: _latest(parts, scope))


async def _latest(parts: Parts, scope: Scope) -> Json:
    ids, rows = await parts.usage.rated(MOST, scope), []
    for start in range(0, len(ids), AT_ONCE):
        found = await parts.log.get_all(ids[start : start + AT_ONCE], scope=scope)
        rows += [entry for entry in found.values() if is_routed(entry) and entry.scores]
    return await asyncio.to_thread(_compared, rows)


@dataclass(frozen=True)
class _Seen:
    """Rated answers in the shape that reports are made of."""

    held: Held
    chosen: NDArray[np.intp]


def _compared(rows: Sequence[LoggedDecision]) -> Json:
    met = [(row.quality_of(row.answered_by), float(np.mean(row.scores))) for row in rows]
    told = [(said, came) for said, came in met if said is not None]
    calibrated = calibration(*np.array(told, dtype=np.float64).T) if told else None
    seen = _seen(rows)
    count = 0 if seen is None else len(seen.chosen)
    enough = count >= FEWEST
    choices = against_best_single(seen.held, seen.chosen) if seen and enough else None
    return {
        "object": "comparison",
        "marks": len(rows),
        "compared": count,
        "needed": FEWEST,
        "enough": enough,
        "comparison": asdict(choices) if choices else None,
        "calibration": calibrated,
    }


def _seen(rows: Sequence[LoggedDecision]) -> _Seen | None:
    """Return the answers whose experts all have forecasts of quality and cost; None if there are
    none.

    An expert that was not there for half of the decisions is left out: nobody could have chosen it.
    """
    forecasts = [{f["expert"]: f for f in row.decision.forecasts if _is_known(f)} for row in rows]
    there = Counter(name for known in forecasts for name in known)
    names = [n for n, times in there.most_common(MOST_EXPERTS) if 2 * times >= len(rows)]
    kept = [
        (row, known)
        for row, known in zip(rows, forecasts, strict=True)
        if row.answered_by in names and all(name in known for name in names)
    ]
    if not kept or len(names) < 2:
        return None
    chosen = np.array([names.index(row.answered_by) for row, _ in kept], dtype=np.intp)
    cost = np.array([[float(known[n]["cost_usd"]) for n in names] for _, known in kept])
    scores, usd = np.full(cost.shape, np.nan), cost.copy()
    for at, (row, _) in enumerate(kept):
        scores[at, chosen[at]] = np.mean(row.scores)
        if row.outcome is None or row.outcome.cached_from is not None:
            continue  # a cached answer's cost says nothing of the choice
        if row.outcome.cost_usd is not None:
            usd[at, chosen[at]] = row.outcome.cost_usd
    held = Held(
        quality=np.array([[row.quality_of(n) for n in names] for row, _ in kept], dtype=np.float64),
        scores=scores,
        cost=cost,
        usd=usd,
        names=names,
        applications=[row.decision.application for row, _ in kept],
        texts=[""] * len(kept),
        answers={},
        confirmed=True,
    )
    return _Seen(held, chosen)


def _is_known(forecast: Any) -> bool:
    return forecast.get("quality") is not None and forecast.get("cost_usd") is not None
