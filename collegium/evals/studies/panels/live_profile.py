"""Profiles of panels on a live pool, measured on validation questions; used by `auto`."""

from __future__ import annotations

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import Bootstrap
from collegium.evals.studies.panels.auto import FEWEST
from collegium.evals.studies.panels.live import panel_ways, single_ways
from collegium.evals.studies.panels.sampled import Way
from collegium.evals.tasks.outcomes import Outcomes
from collegium.experts.aggregation.catalogue import mode_kind
from collegium.experts.aggregation.options import THRESHOLD
from collegium.router.panels.profiles import BOUNDS, Profile, Profiles, range_of

LIKELY = 1.96
"""Standard errors from none at which a correlation is more than chance, at 95 %."""


def live_profiles(
    experts: Outcomes,
    chosen: Ints,
    forecasts: Floats,
    modes: Outcomes,
    *,
    made_by: str = "",
    seed: int = 0,
) -> Profiles:
    """What each mode gained over the single answer, by range of the router's best forecast.

    `forecasts` (prompts, experts), NaN where there is none. A range with fewer than `FEWEST`
    questions has no profile. Costs are multiples of the single answer's tokens: the pool's own
    experts have no price.
    """
    single = next(w for w in single_ways(experts, chosen) if w.kind == "single")
    panels = [way for way in panel_ways(modes) if way.kind == "panel"]
    best = np.nanmax(forecasts, axis=1)
    ranges = np.array([range_of(float(p)) if np.isfinite(p) else -1 for p in best])
    found = []
    for index in range(len(BOUNDS) + 1):
        rows = np.flatnonzero(ranges == index)
        enough = panels if len(rows) >= FEWEST else []
        found.append(tuple(_profile(way, single, rows, seed) for way in enough))
    return Profiles(tuple(found), correlations(experts, forecasts), made_by=made_by)


def _profile(way: Way, single: Way, rows: Ints, seed: int) -> Profile:
    mode = way.name
    gain = Bootstrap(
        np.stack([way.scores[rows], single.scores[rows]], axis=1), seed=seed
    ).difference(0, 1)
    return Profile(
        mode,
        mode_kind(mode).seats,
        round(gain.estimate, 4),
        round(gain.low, 4),
        round(float(way.tokens[rows].mean() / single.tokens[rows].mean()), 3),
        len(rows),
        THRESHOLD if mode == "cascade" else None,
    )


def correlations(experts: Outcomes, forecasts: Floats) -> dict[str, dict[str, float]]:
    """Of what is left of two experts' outcomes after their forecasts, where both have one.

    What could be chance (less than 1.96 standard errors of Fisher's z from none) is left out.
    """
    left = experts.scores - forecasts
    pairs: dict[str, dict[str, float]] = {name: {} for name in experts.models}
    for i, one in enumerate(experts.models):
        for j, other in enumerate(experts.models):
            if i != j and (found := _correlation(left[:, i], left[:, j])) is not None:
                pairs[one][other] = round(found, 4)
    return pairs


def _correlation(one: Floats, other: Floats) -> float | None:
    both = np.isfinite(one) & np.isfinite(other)
    x, y = one[both], other[both]
    if len(x) < FEWEST or not x.std() or not y.std():
        return None
    found = float(np.clip(np.corrcoef(x, y)[0, 1], -0.999, 0.999))
    return found if abs(np.arctanh(found)) * np.sqrt(len(x) - 3) > LIKELY else None
