"""Familiarity: queries of measured skills are known, other queries are strange."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from collegium.router.familiarity import Familiarity

Array = NDArray[np.float64]


def around(centre: Array, n: int, *, seed: int, spread: float = 0.1) -> Array:
    """Queries around one point."""
    return np.asarray(centre + spread * np.random.default_rng(seed).normal(size=(n, len(centre))))


A, B, FAR = np.eye(8)[0], np.eye(8)[1], np.eye(8)[7]


def fitted(*, with_background: bool = True) -> Familiarity:
    """Fitted on two skills, and on a background of far queries."""
    X = np.concatenate([around(A, 80, seed=0), around(B, 80, seed=1)])
    background = around(FAR, 200, seed=2) if with_background else None
    return Familiarity().fit(X, ["a"] * 80 + ["b"] * 80, background=background)


def test_new_queries_of_a_skill_are_told_from_queries_of_none() -> None:
    """The distance separates what was measured from what was not."""
    familiarity = fitted()
    near = np.concatenate([around(A, 100, seed=3), around(B, 100, seed=4)])
    far = around(FAR, 200, seed=5)

    scores = np.r_[familiarity.ood_score(near), familiarity.ood_score(far)]
    assert roc_auc_score(np.r_[np.zeros(200), np.ones(200)], scores) > 0.99
    assert (familiarity.predict(near) == 1).mean() > 0.97


def test_the_distance_is_mahalanobis_to_the_nearest_skill() -> None:
    """Compared with the definition, one query and one skill at a time."""
    familiarity = fitted()
    X = around(0.5 * (A + B), 20, seed=6, spread=0.5)

    by_hand = [
        min(np.sqrt((x - m) @ familiarity.precision_ @ (x - m)) for m in familiarity.means_)
        for x in X
    ]
    np.testing.assert_allclose(familiarity.distance(X), by_hand)


def test_the_threshold_lets_a_chosen_share_of_the_background_pass() -> None:
    """So much of what is strange is taken for familiar, and no more."""
    background = around(0.5 * A, 1000, seed=7, spread=0.5)
    X = np.concatenate([around(A, 80, seed=0), around(B, 80, seed=1)])
    familiarity = Familiarity(accept=0.1).fit(X, ["a"] * 80 + ["b"] * 80, background=background)
    assert (familiarity.predict(background) == 1).mean() == pytest.approx(0.1, abs=0.002)


def test_without_a_background_that_share_of_the_measured_queries_is_strange() -> None:
    """The threshold then comes from the measured queries themselves."""
    familiarity = fitted(with_background=False)
    X = np.concatenate([around(A, 80, seed=0), around(B, 80, seed=1)])
    assert (familiarity.predict(X) == -1).mean() == pytest.approx(0.02, abs=0.01)


def test_the_score_says_half_at_the_threshold() -> None:
    """Score and verdict agree: above one half is strange."""
    familiarity = fitted()
    X = around(0.3 * FAR + 0.7 * A, 300, seed=8, spread=0.3)

    scores = familiarity.ood_score(X)
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_array_equal(scores > 0.5, familiarity.predict(X) == -1)
    np.testing.assert_allclose(familiarity.ood_score(familiarity.means_), 0.0, atol=1e-12)


def test_one_query_again_and_again_is_familiar() -> None:
    """Without any spread there is still a score, and no division by zero."""
    familiarity = Familiarity().fit(np.ones((5, 3)))
    assert familiarity.ood_score(np.ones((1, 3))).tolist() == [0.0]
    assert familiarity.ood_score(np.zeros((1, 3)))[0] > 0.5
