"""Probes stand for all the queries that they are chosen from."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.evals.studies.newcomers.probes import choose_probes


@pytest.mark.parametrize("told", [False, True])
def test_probes_stand_for_all_queries(told: bool) -> None:
    """Their mean is nearer to the mean of all than that of as many drawn anyhow, without bias."""
    rng = np.random.default_rng(0)
    which = rng.choice(6, size=600, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    X = np.eye(6)[which] + 0.1 * rng.normal(size=(600, 6))
    level = np.array([0.9, 0.1, 0.6, 0.3, 0.8, 0.2])[which]
    outcomes = (rng.random((600, 5)) < level[:, None]).astype(np.float64) if told else None
    chosen = [level[choose_probes(X, 24, outcomes=outcomes, seed=i)].mean() for i in range(60)]
    anyhow = [level[rng.choice(600, 24, replace=False)].mean() for _ in range(2000)]
    assert np.std(chosen) < 0.6 * np.std(anyhow)
    assert abs(np.mean(chosen) - level.mean()) < 0.01


def test_probes_keep_the_labels_shares() -> None:
    """By largest remainder: 10 probes of 60, 30 and 10 % are 6, 3 and 1."""
    X = np.random.default_rng(0).normal(size=(100, 4))
    labels = np.array(["a"] * 60 + ["b"] * 30 + ["c"] * 10)
    chosen = choose_probes(X, 10, labels=labels)
    assert [int((labels[chosen] == name).sum()) for name in "abc"] == [6, 3, 1]


@pytest.mark.parametrize("k", [1, 7, 40])
def test_probes_are_different_and_the_same_for_the_same_seed(k: int) -> None:
    """Also where queries repeat each other."""
    X = np.tile(np.random.default_rng(1).normal(size=(20, 3)), (2, 1))
    chosen = choose_probes(X, k, seed=3)
    assert len(set(chosen.tolist())) == k
    np.testing.assert_array_equal(chosen, choose_probes(X, k, seed=3))


def test_more_probes_than_queries_are_refused() -> None:
    """With both numbers."""
    with pytest.raises(ValueError, match="can't choose 5 probes from 3 queries"):
        choose_probes(np.eye(3), 5)
