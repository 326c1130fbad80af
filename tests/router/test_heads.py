"""The head that tells skills apart: a scikit-learn classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from collegium.router.heads import SkillHead


@parametrize_with_checks([SkillHead()])  # type: ignore[untyped-decorator]
def test_it_is_a_scikit_learn_classifier(estimator: Any, check: Any) -> None:
    """All of scikit-learn's own checks pass."""
    check(estimator)


@pytest.mark.parametrize("names", [("lists", "sql"), ("lists", "poems", "sql")])
def test_skills_are_read_as_probabilities(names: tuple[str, ...]) -> None:
    """Rows sum to one over two skills as over more, and the likeliest is the one asked for."""
    rng = np.random.default_rng(14)
    y = np.repeat(names, 40)
    X = np.eye(6)[np.repeat(np.arange(len(names)), 40)] + 0.2 * rng.normal(size=(len(y), 6))
    head = SkillHead().fit(X, y)

    probabilities = head.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert probabilities.shape == (len(y), len(names))
    assert (head.predict(X) == y).mean() > 0.97


def test_one_skill_is_nothing_to_tell_apart() -> None:
    """A head over one class always says that class: outcomes need no task labels."""
    head = SkillHead().fit(np.zeros((4, 2)), ["sql"] * 4)
    np.testing.assert_array_equal(head.predict_proba(np.ones((3, 2))), np.ones((3, 1)))
    assert head.predict(np.ones((1, 2))).tolist() == ["sql"]
