"""Many intents and what is none of them: against what is known of a small world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.utils.estimator_checks import parametrize_with_checks

from collegium.evals.studies.ood.intents import IntentHead, RelativeDistance

Array = NDArray[np.float64]
WORDS = ("red", "blue", "green")


@parametrize_with_checks([IntentHead(), RelativeDistance()])  # type: ignore[untyped-decorator]
def test_they_are_scikit_learn_estimators(estimator: Any, check: Any) -> None:
    """The shared suite: parameters, cloning, shapes, what is refused."""
    check(estimator)


def intents(each: int, seed: int = 0) -> tuple[Array, NDArray[np.str_]]:
    """Six intents as directions with noise that is much larger along the last two dimensions."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"intent {k}" for k in range(6)], each)
    noise = rng.normal(size=(len(names), 10)) * np.r_[np.full(8, 0.15), 0.6, 0.6]
    return np.repeat(np.eye(10)[:6], each, axis=0) + noise, names


def test_it_learns_what_no_line_divides() -> None:
    """Two classes on a ring and within it."""
    rng = np.random.default_rng(0)
    radius, angle = np.repeat([0.3, 1.0], 300), rng.uniform(0, 2 * np.pi, 600)
    X = (radius + 0.1 * rng.normal(size=600)) * np.array([np.cos(angle), np.sin(angle)])
    inside = np.repeat(["in", "out"], 300)
    head = IntentHead(width=2.0).fit(X.T[::2], inside[::2])
    assert np.mean(head.predict(X.T[1::2]) == inside[1::2]) > 0.97


def test_words_tell_apart_what_embeddings_do_not() -> None:
    """Equal embeddings, one word of difference."""
    texts = [f"paint it {word} number {i}" for i in range(20) for word in WORDS]
    X, y = np.ones((60, 4)) / 2, np.array(WORDS * 20)
    head = IntentHead().fit(X, y, texts=texts)
    new = [f"please make this one {word}" for word in WORDS]
    assert head.predict(X[:3], texts=new).tolist() == list(WORDS)
    assert np.mean(head.predict(X) == y) < 0.5


def test_the_same_words_weigh_nothing_without_texts() -> None:
    """A caller who gives no texts gets the kernel alone."""
    X, y = intents(30)
    with_words = IntentHead().fit(X, y, texts=[str(name) for name in y])
    assert np.array_equal(
        with_words.decision_function(X), IntentHead().fit(X, y).decision_function(X)
    )


def test_the_relative_distance_forgives_what_is_unusual_in_itself() -> None:
    """Odd along the noisy directions is no new intent; between the intents is."""
    X, y = intents(200)
    score = RelativeDistance().fit(X, y)
    known, _ = intents(100, seed=1)
    odd = known + np.r_[np.zeros(8), 1.0, 1.0]
    new = known[:, ::-1].copy()  # no intent points there
    assert np.median(score.distance(odd)) < np.quantile(score.distance(new), 0.1)
    assert np.mean(score.distance(known)) < np.mean(score.distance(new))


def test_it_is_the_difference_of_two_mahalanobis_distances() -> None:
    """Against the formula, written out."""
    X, y = intents(50)
    score = RelativeDistance(shrinkage=0.3).fit(X, y)
    means = np.array([X[y == name].mean(axis=0) for name in np.unique(y)])
    within = X - means[np.unique(y, return_inverse=True)[1]]

    def squared(residual: Array, rows: Array) -> float:
        covariance = rows.T @ rows / len(rows)
        shrunk = 0.7 * covariance + 0.3 * np.trace(covariance) / 10 * np.eye(10)
        return float(residual @ np.linalg.inv(shrunk) @ residual)

    query = np.linspace(-1, 1, 10)
    nearest = min(squared(query - mean, within) for mean in means)
    expected = nearest - squared(query - X.mean(axis=0), X - X.mean(axis=0))
    assert score.distance(query[None, :])[0] == pytest.approx(expected)


def test_what_is_far_from_every_intent_has_a_great_distance() -> None:
    """Greater than nearly all of the intents' own."""
    X, y = intents(100)
    far = np.full((1, 10), 3.0) * np.r_[np.zeros(6), 1, 1, 0, 0]
    score = RelativeDistance().fit(X, y)
    assert score.distance(far)[0] > np.quantile(score.distance(X), 0.99)
