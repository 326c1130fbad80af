"""Thompson sampling by quadrature: the probabilities are those that draws would give."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.router.online.thompson import best_probabilities, with_floor


@pytest.mark.parametrize(
    ("mean", "deviation"),
    [
        ([0.5, 0.5, 0.5], [0.1, 0.1, 0.1]),
        ([0.6, 0.5, 0.4], [0.1, 0.05, 0.2]),
        ([0.7, 0.69, 0.2, 0.65], [0.02, 0.03, 0.3, 0.1]),
    ],
)
def test_probabilities_are_those_of_many_draws(mean: list[float], deviation: list[float]) -> None:
    """Within 2.5 points of 200,000 draws from the beliefs."""
    draws = np.random.default_rng(0).normal(mean, deviation, size=(200_000, len(mean)))
    drawn = np.bincount(draws.argmax(axis=1), minlength=len(mean)) / len(draws)
    found = best_probabilities(np.array(mean), np.array(deviation))
    np.testing.assert_allclose(found, drawn, atol=0.025)
    assert found.sum() == pytest.approx(1.0)


def test_who_is_surely_best_is_chosen() -> None:
    """Beliefs without doubt are greedy, also where they are far apart."""
    found = best_probabilities(np.array([0.2, 0.9, -1e6]), np.array([0.0, 0.0, 0.1]))
    np.testing.assert_allclose(found, [0.0, 1.0, 0.0], atol=1e-12)


def test_equals_without_doubt_share() -> None:
    """Nobody is preferred for standing first."""
    found = best_probabilities(np.array([0.5, 0.5]), np.zeros(2))
    np.testing.assert_allclose(found, [0.5, 0.5])


def test_the_floor_is_for_those_who_are_allowed() -> None:
    """Each of them gets it, nobody else gets anything."""
    allowed = np.array([True, True, False])
    found = with_floor(np.array([0.9, 0.0, 0.1]), allowed, 0.1)
    np.testing.assert_allclose(found, [0.95, 0.05, 0.0])
