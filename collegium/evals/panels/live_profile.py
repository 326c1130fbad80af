"""Profiles of panels on a live pool: what `auto` chooses by, measured on validation questions."""

from __future__ import annotations

from typing import cast

import numpy as np

from collegium.evals.arrays import Floats, Ints
from collegium.evals.bootstrap import Bootstrap
from collegium.evals.outcomes import Outcomes
from collegium.evals.panels.auto import FEWEST
from collegium.evals.panels.live import panel_ways, single_ways
from collegium.evals.panels.sampled import Way
from collegium.experts.aggregation.cascade import THRESHOLD
from collegium.experts.aggregation.catalogue import MODES, ModeName
from collegium.router.panels.profiles import BOUNDS, Profile, Profiles, range_of


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
    mode = cast(ModeName, way.name)
    gain = Bootstrap(
        np.stack([way.scores[rows], single.scores[rows]], axis=1), seed=seed
    ).difference(0, 1)
    return Profile(
        mode,
        MODES[mode].seats,
        round(gain.estimate, 4),
        round(gain.low, 4),
        round(float(way.tokens[rows].mean() / single.tokens[rows].mean()), 3),
        len(rows),
        THRESHOLD if mode == "cascade" else None,
    )


def correlations(experts: Outcomes, forecasts: Floats) -> dict[str, dict[str, float]]:
    """Of what is left of two experts' outcomes after their forecasts, where both have one."""
    left = experts.scores - forecasts
    names, table = experts.experts, {}
    for i, one in enumerate(names):
        pairs = {}
        for j, other in enumerate(names):
            both = np.isfinite(left[:, i]) & np.isfinite(left[:, j])
            if i != j and both.sum() >= FEWEST and left[both][:, [i, j]].std(axis=0).min() > 0:
                value = np.corrcoef(left[both, i], left[both, j])[0, 1]
                pairs[other] = round(float(value), 4)
        table[one] = pairs
    return table
