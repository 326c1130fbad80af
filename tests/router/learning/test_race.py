"""Who is still asked after each round."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.router.learning.race import FIRST, Race, paired_levels

NAMES = ("dear", "cheap", "poor")
COST = np.array([10.0, 1.0, 1.0])


def marks(count: int, rates: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """Right and wrong answers of three experts."""
    random = np.random.default_rng(seed)
    return (random.random((count, len(rates))) < rates).astype(float)


def survivors(scores: np.ndarray, always: frozenset[str] = frozenset()) -> set[str]:
    """Who is left in the one application."""
    race = Race(NAMES, always)
    found = race.survivors(scores, np.tile(COST, (len(scores), 1)), ["desk"] * len(scores))
    return set(found["desk"])


def test_everybody_is_asked_at_first() -> None:
    """However it looks after a few prompts."""
    assert survivors(marks(FIRST - 1, (1.0, 0.0, 0.0))) == set(NAMES)


def test_who_is_worse_and_dearer_leaves() -> None:
    """A cheap expert that is better than the dear one makes it useless; the poor one is anyway."""
    assert survivors(marks(200, (0.5, 0.8, 0.1))) == {"cheap"}


def test_who_is_better_stays_however_dear() -> None:
    """For a trade-off that pays for it; so does the cheap one, for one that does not."""
    assert survivors(marks(200, (0.9, 0.6, 0.1))) == {"dear", "cheap"}


def test_those_who_are_always_asked_stay() -> None:
    """Such as the incumbent, whose answers are there."""
    assert "poor" in survivors(marks(200, (0.9, 0.6, 0.1)), always=frozenset({"poor"}))


def test_applications_race_apart() -> None:
    """An expert that is out in one is asked in the other."""
    one, other = marks(100, (0.9, 0.9, 0.0)), marks(100, (0.1, 0.1, 0.9), seed=1)
    scores = np.vstack([one, other])
    names = ["one"] * 100 + ["other"] * 100
    found = Race(NAMES).survivors(scores, np.tile(COST, (200, 1)), names)
    assert "poor" not in found["one"]
    assert "poor" in found["other"]


def test_an_expert_is_compared_on_the_prompts_that_it_answered() -> None:
    """One that was asked the easy ones alone does not look better than it is."""
    random = np.random.default_rng(0)
    easy = random.random(400) < 0.5
    chance = np.where(easy, 0.95, 0.25)
    scores = (random.random((400, 2)) < chance[:, None]).astype(float)
    scores[~easy, 1] = np.nan  # equally good, and asked the easy ones only
    level, deviation = paired_levels(scores, scores)
    assert np.nanmean(scores[:, 1]) - np.nanmean(scores[:, 0]) > 0.2
    assert level[1] - level[0] == pytest.approx(0.0, abs=0.1)
    assert deviation[1] > deviation[0]
