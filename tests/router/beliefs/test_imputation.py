"""Missing marks are guessed from what others scored on the same prompts, where they tell."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.beliefs.imputation import FEWEST, GUESSED, imputed

Array = NDArray[np.float64]
PROMPTS = 1_000


def known(seed: int = 0) -> Array:
    """Six experts on all prompts: three kinds of prompts, and how hard each prompt is."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, PROMPTS)
    rates = np.array([[0.9, 0.8, 0.1, 0.2, 0.5, 0.6], [0.1, 0.3, 0.9, 0.8, 0.5, 0.6],
                      [0.2, 0.9, 0.3, 0.7, 0.4, 0.6]])  # fmt: skip
    chance = np.clip(rates[kind] + 0.2 * rng.normal(size=(PROMPTS, 1)), 0.02, 0.98)
    return (rng.random(chance.shape) < chance).astype(np.float64)


def beside(scores: Array, marks: Array, count: int) -> Array:
    """The known scores, and a newcomer with the first `count` of its marks."""
    newcomer = np.where(np.arange(PROMPTS) < count, marks, np.nan)
    return np.column_stack([scores, newcomer])


@pytest.mark.parametrize("original", range(6))
def test_a_copy_of_a_known_expert_is_found_from_fifty_marks(original: int) -> None:
    """Its other marks are guessed better than by its level, on any of them."""
    scores = known()
    found, weight = imputed(beside(scores, scores[:, original], 50))
    guesses, truth = found[50:, -1], scores[50:, original]
    level = scores[:50, original].mean()
    assert ((guesses - truth) ** 2).mean() < 0.6 * ((level - truth) ** 2).mean()
    likeness = [np.corrcoef(guesses, scores[50:, e])[0, 1] for e in range(6)]
    assert int(np.argmax(likeness)) == original
    np.testing.assert_array_equal(weight[:50, -1], 1.0)
    np.testing.assert_array_equal(weight[50:, -1], GUESSED)


def test_a_mixture_of_known_experts_is_found() -> None:
    """As good as one on some prompts, as another on others."""
    scores = known()
    half = np.random.default_rng(1).random(PROMPTS) < 0.5
    mixed = np.where(half, scores[:, 0], scores[:, 2])
    found, _ = imputed(beside(scores, mixed, 200))
    error = ((found[200:, -1] - mixed[200:]) ** 2).mean()
    assert error < 0.95 * ((mixed[:200].mean() - mixed[200:]) ** 2).mean()


@pytest.mark.parametrize("level", [0.15, 0.5, 0.8])
def test_of_an_expert_that_is_like_nobody_the_level_is_guessed(level: float) -> None:
    """Its marks are chance: no prompt is expected to suit it."""
    rng = np.random.default_rng(3)
    noise = (rng.random(PROMPTS) < level).astype(np.float64)
    found, _ = imputed(beside(known(), noise, 300))
    guesses, marked = found[300:, -1], (noise[:300].sum() + 1) / 302
    assert guesses.mean() == pytest.approx(marked, abs=0.03)
    assert guesses.std() < 0.1


@pytest.mark.parametrize(("count", "guessed"), [(0, 0), (FEWEST - 1, 0), (FEWEST, PROMPTS)])
def test_few_marks_tell_nothing(count: int, guessed: int) -> None:
    """Below that, nobody guesses."""
    scores = known()
    found, weight = imputed(beside(scores, scores[:, 0], count))
    assert (~np.isnan(found[:, -1])).sum() == max(guessed, count)
    np.testing.assert_array_equal(weight[:count, -1], 1.0)
    np.testing.assert_array_equal(weight[count:, -1], GUESSED if guessed else 0.0)


def test_what_was_marked_is_left_as_it_is() -> None:
    """Of everyone; who is marked on half of the prompts or more is not guessed, as it tells."""
    scores = known()
    scores[::3, 1] = np.nan
    table = beside(scores, scores[:, 0], 100)
    before = table.copy()
    found, weight = imputed(table)
    np.testing.assert_array_equal(table, before)
    seen = ~np.isnan(table)
    np.testing.assert_array_equal(found[seen], table[seen])
    np.testing.assert_array_equal(weight[seen], 1.0)
    assert np.isnan(found[::3, 1]).all()
    assert not weight[::3, 1].any()
    assert ((found[:, -1] >= 0) & (found[:, -1] <= 1)).all()


def test_on_prompts_that_hardly_anybody_was_marked_on_nothing_is_guessed() -> None:
    """There is nothing to guess from."""
    scores = known()
    scores[600:, :4] = np.nan
    table = beside(scores, scores[:, 0], 100)
    found, weight = imputed(table)
    assert np.isnan(found[600:, -1]).all()
    assert not weight[600:, -1].any()
    assert not np.isnan(found[:600, -1]).any()


def test_where_everybody_has_few_marks_nobody_is_guessed() -> None:
    """No one is known."""
    table = np.full((100, 3), np.nan)
    table[:30, 0], table[30:60, 1], table[60:90, 2] = 1.0, 0.0, 1.0
    found, weight = imputed(table)
    np.testing.assert_array_equal(found, table)
    np.testing.assert_array_equal(weight, ~np.isnan(table))
