"""What the report says of worlds whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collegium.router.beliefs.promise import UNKNOWN_USD
from collegium.router.learning.report import Held, report

COUNT = 400
NAMES = ("dear", "sql", "lists")


def held(*, confirmed: bool = True) -> Held:
    """Two applications: a cheap expert for each, and a dear one that is right on both."""
    random = np.random.default_rng(0)
    first = np.arange(COUNT) % 2 == 0
    chance = np.column_stack([np.full(COUNT, 0.9), np.where(first, 0.9, 0.1), 0.1 + 0.8 * ~first])
    scores = (random.random(chance.shape) < chance).astype(float)
    usd = np.tile([10.0, 1.0, 1.0], (COUNT, 1)) / 1000
    return Held(
        quality=chance,
        scores=scores,
        cost=usd,
        usd=usd,
        names=NAMES,
        applications=["sql" if f else "lists" for f in first],
        texts=[f"prompt {i}" for i in range(COUNT)],
        answers={},
        confirmed=confirmed,
    )


def test_it_tells_what_a_switch_saves_and_loses() -> None:
    """Nine tenths of the money, at about the same quality: `cheap` may promise that on 400 marks.

    `balanced` may not: one point is less than their margin, so the best single expert answers.
    """
    found = report(held(), usd_a_prompt=0.012)
    assert found.best_single == "dear"
    assert found.policies["balanced"]["saved"] == 0
    cheap = found.policies["cheap"]
    assert cheap["promised"]
    assert cheap["saved"] == pytest.approx(0.9, abs=0.02)
    assert abs(cheap["loss_points"]) < cheap["margin_points"] < 6
    low, high = cheap["saved_interval"]
    assert low <= cheap["saved"] <= high
    assert found.saving_at_one_point["saved"] == pytest.approx(0.9, abs=0.02)
    assert found.warnings == []


def test_more_prompts_narrow_the_margin_by_their_root() -> None:
    """Four times as many halve it; the three quarters that are missing cost money."""
    found = report(held(), usd_a_prompt=0.012)
    step = found.more[-1]
    margin = found.saving_at_one_point["margin_points"]
    assert step["prompts"] == 3 * COUNT
    assert step["margin_points"] == pytest.approx(margin / 2, abs=0.01)
    assert step["usd"] == pytest.approx(3 * COUNT * 0.012)


def test_the_ceiling_is_where_somebody_is_right() -> None:
    """No router is right more often."""
    world = held()
    found = report(world, usd_a_prompt=0.0)
    assert found.ceiling == pytest.approx(world.scores.max(axis=1).mean(), abs=1e-4)


def test_marks_that_nobody_confirmed_are_told() -> None:
    """So is an unknown price, by which nothing is saved."""
    world = held(confirmed=False)
    assert "Confirm marks" in report(world, usd_a_prompt=0.0).warnings[0]
    dollars = world.usd.copy()
    dollars[:, 2] = UNKNOWN_USD
    found = report(replace(world, cost=dollars, usd=dollars, confirmed=True), usd_a_prompt=0.0)
    assert "price is unknown" in found.warnings[0]
    lists = next(a for a in found.applications if a["application"] == "lists")
    assert lists["mostly_sent_to"] == "dear"


def test_where_the_best_expert_is_free_nothing_is_saved() -> None:
    """Least of all everything."""
    world = held()
    free = np.zeros_like(world.usd)
    found = report(replace(world, cost=free, usd=free), usd_a_prompt=0.0)
    assert {p["saved"] for p in found.policies.values()} == {None}
    assert {a["saved"] for a in found.applications} == {None}


def test_experts_that_a_race_dropped_are_judged_by_forecasts() -> None:
    """An expert that was asked on its strong application alone is not the best single one."""
    world = held()
    scores = world.scores.copy()
    scores[1::2, 1] = np.nan
    found = report(replace(world, scores=scores), usd_a_prompt=0.0)
    assert found.best_single == "dear"
    row = next(e for e in found.experts if e["expert"] == "sql")
    assert row["marks"] == COUNT // 2
    assert row["quality"] == pytest.approx(0.5, abs=0.05)
