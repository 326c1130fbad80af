"""Panels are recruited for skill and for errors that differ; their quality is counted out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from collegium.experts.aggregation.base import Member
from collegium.experts.aggregation.grouping import ALTERNATIVES, Ballots
from collegium.registry.expert import Expert
from collegium.router.decision import Forecast
from collegium.router.panels.recruiting import recruit, right_alone
from collegium.router.panels.taking import vote_quality


def forecast(name: str, quality: float | None, cost: float = 1.0) -> Forecast:
    """Of one expert."""
    return Forecast(name, quality, cost, 100.0, None, 10)


def names(found: tuple[Forecast, ...]) -> list[str]:
    """Who is on the panel."""
    return [f.expert for f in found]


def test_without_recorded_errors_skill_decides() -> None:
    """Best first, ties to the cheaper, the infeasible and the unknown last or not at all."""
    pool = [forecast("a", 0.5), forecast("b", 0.9), forecast("c", 0.7), forecast("d", None)]
    assert names(recruit(pool, 3)) == ["b", "c", "a"]
    assert names(recruit(pool, 9)) == ["b", "c", "a", "d"]
    out = [structs.replace(pool[1], feasible=False), *pool[2:]]
    assert names(recruit(out, 1)) == ["c"]


def test_an_expert_that_errs_with_the_first_adds_nothing() -> None:
    """A weaker one with errors of its own is preferred to the first one's twin."""
    pool = [forecast("best", 0.8), forecast("twin", 0.79), forecast("other", 0.7)]

    def correlation(one: str, other: str) -> float:
        return 0.97 if {one, other} == {"best", "twin"} else 0.0

    assert names(recruit(pool, 2)) == ["best", "twin"]
    assert names(recruit(pool, 2, correlation=correlation)) == ["best", "other"]


def test_right_alone_is_what_samples_show() -> None:
    """The chance from marginals and correlation, against a drawn population."""
    rng = np.random.default_rng(0)
    shared = rng.random(200_000)
    one = np.where(rng.random(200_000) < 0.5, shared, rng.random(200_000)) < 0.7
    other = np.where(rng.random(200_000) < 0.5, shared, rng.random(200_000)) < 0.6
    measured = float(np.corrcoef(one, other)[0, 1])
    expected = right_alone(
        forecast("x", float(one.mean())), forecast("y", float(other.mean())), lambda *_: measured
    )
    assert expected == pytest.approx(float((one & ~other).mean()), abs=1e-9)


def test_a_votes_quality_is_that_of_drawn_votes() -> None:
    """Counted out and simulated agree."""
    chances = (0.7, 0.55, 0.4)
    members = [Member(Expert(f"e{i}", "openai", "m"), p) for i, p in enumerate(chances)]
    ballots = Ballots()
    rng = np.random.default_rng(1)
    right = rng.random((100_000, 3)) < np.array(chances)
    said = np.where(right, 0, rng.integers(1, ALTERNATIVES, right.shape))
    held = np.zeros((len(said), ALTERNATIVES))
    for seat, member in enumerate(members):
        held[np.arange(len(said)), said[:, seat]] += ballots.weight(member)
    simulated = float((held.argmax(axis=1) == 0).mean())
    assert vote_quality(members, ballots) == pytest.approx(simulated, abs=0.005)
    assert vote_quality([replace(m, forecast=None) for m in members], ballots) is None
