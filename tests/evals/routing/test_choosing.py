"""From forecasts to a model, with and without regard to money."""

import numpy as np
import pytest

from collegium.evals.routing.choosing import choose, sweep


def test_the_best_measured_model_is_chosen() -> None:
    """A model that nobody measured on a prompt can't be chosen there."""
    quality = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    measured = np.array([[True, True, True], [False, True, True]])
    assert choose(quality, measured, np.ones(3)).tolist() == [0, 1]


def test_of_equals_the_cheapest_is_chosen() -> None:
    """By a price for all prompts, or one for each."""
    quality, measured = np.full((2, 3), 0.5), np.ones((2, 3), dtype=bool)
    assert choose(quality, measured, np.array([3.0, 1.0, 2.0])).tolist() == [1, 1]
    each = np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    assert choose(quality, measured, each).tolist() == [1, 0]


def test_a_prompt_without_outcomes_is_a_mistake() -> None:
    """It should have been left out long before."""
    with pytest.raises(ValueError, match="measured model"):
        choose(np.ones((1, 2)), np.zeros((1, 2), dtype=bool), np.ones(2))


def test_a_sweep_goes_from_the_best_to_the_cheapest() -> None:
    """Its ends are known; between them each step buys the largest forecast lead first."""
    rng = np.random.default_rng(0)
    scores = (rng.random((400, 2)) < [0.4, 0.8]).astype(np.float64)
    forecasts = 0.2 + 0.6 * scores + 0.05 * rng.random((400, 2))
    forecasts[:, 1] = np.maximum(forecasts[:, 1], forecasts[:, 0])
    costs = np.tile([1.0, 11.0], (400, 1))
    found = sweep(forecasts, costs[0], scores, costs)
    assert found.cost[-1] == 1.0
    assert found.quality[-1] == pytest.approx(scores[:, 0].mean())
    assert found.quality.max() == pytest.approx(scores.max(axis=1).mean())
    middle = found.quality[np.abs(found.cost - 6).argmin()]
    assert middle > scores.mean() + 0.1  # half the calls at random would give the mean
