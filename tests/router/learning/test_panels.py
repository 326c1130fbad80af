"""Panels, judged on answers that are there."""

from __future__ import annotations

import numpy as np

from collegium.router.learning.panels import Replays, panels_that_pay

NAMES = ("a", "b", "c")


def replays(rate: float, count: int = 300, seed: int = 0) -> Replays:
    """Three independent experts of equal quality, whose wrong answers all differ."""
    random = np.random.default_rng(seed)
    right = random.random((count, 3)) < rate
    texts = {
        (row, column): "42" if right[row, column] else f"{100 + 10 * row + column}"
        for row in range(count)
        for column in range(3)
    }
    usd = np.tile([1.0, 1.0, 1.0], (count, 1)) / 1000
    return Replays(right.astype(float), usd, texts, NAMES, ["desk"] * count)


def test_a_vote_of_independent_experts_is_better_and_dearer() -> None:
    """Two of three are right more often than one: 0.784 to 0.7, and here wrong ones never agree."""
    found = panels_that_pay(replays(0.7), best=0)
    vote = next(p for p in found if p["mode"] == "vote" and p["application"] is None)
    assert vote["gain_points"] > vote["margin_points"] > 0
    assert vote["usd_per_1k"] == 3.0


def test_a_cascade_saves_where_the_best_is_dear() -> None:
    """Two cheap experts that agree spare the dear one."""
    world = replays(0.9)
    usd = world.usd.copy()
    usd[:, 0] = 0.05
    found = panels_that_pay(Replays(world.scores, usd, world.texts, NAMES, ["desk"] * 300), best=0)
    cascade = next(p for p in found if p["mode"] == "cascade" and p["application"] is None)
    assert cascade["members"] == ["b", "c", "a"]
    assert cascade["saved"] > 0.5


def test_experts_that_err_together_make_no_panel() -> None:
    """Nothing is gained, and three cost more than one."""
    world = replays(0.7)
    same = np.tile(world.scores[:, :1], (1, 3))
    texts = {(row, column): world.texts[row, 0] for row, column in world.texts}
    assert not panels_that_pay(Replays(same, world.usd, texts, NAMES, ["desk"] * 300), best=0)
