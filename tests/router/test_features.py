"""Surface features: what a text looks like, as numbers of one size."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.features import FEATURES, SurfaceEncoder, look, surface


class ZeroEncoder:
    """Every text is the origin."""

    name = "zero"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Three zeros a text."""
        return np.zeros((len(texts), 3), dtype=np.float32)


def raw(name: str, text: str) -> float:
    """One feature before it is scaled."""
    return float(FEATURES[name][0](look(text)))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("chinese", "\u4e2d\u6587ab", 1.0),
        ("chinese", "Chinese", 0.0),
        ("other_script", "\u043f\u0440\u0438\u0432\u0435\u0442", 1.0),
        ("digits", "12 apples and 3 more pears", 6 * 3 / 26),
        ("options", "Which?\nA. one\nB. two\nC. three", 0.3),
        ("numeric_options", "Which?\nA. 1\nB. two", 0.5),
        ("question_marks", "Is it? Is it not?", 2 / 3),
        ("negations", "All of these are true except", 1 / 3),
        ("code", "def f(x): return x", 4 * 2 / 4),
        ("which", "Which one?", 1.0),
        ("which", "whichever", 0.0),
        ("year", "in 1848", 1.0),
        ("colon_last", "Answer:", 1.0),
        ("first_person", "I think", 1.0),
    ],
)
def test_features_by_hand(name: str, text: str, expected: float) -> None:
    """Counted by eye; shares are cut at one."""
    assert raw(name, text) == pytest.approx(min(expected, 1.0))


def test_features_are_appended_with_their_weight() -> None:
    """Behind the inner encoder's vector, which stays as it was."""
    texts = ["What is 2 + 2?", "Write a poem."]
    vectors = SurfaceEncoder(ZeroEncoder(), weight=0.5).encode(texts)
    assert vectors.shape == (2, 3 + len(FEATURES))
    assert not vectors[:, :3].any()
    np.testing.assert_allclose(vectors[:, 3:], 0.5 * surface(texts))
    assert SurfaceEncoder(ZeroEncoder()).name == "zero+surface"


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\ud800", "x" * 100_000, "A. " * 9_000])
def test_no_text_is_too_strange(text: str) -> None:
    """Empty, blank, broken or endless: numbers within three spreads."""
    row = surface([text])
    assert np.isfinite(row).all()
    assert np.abs(row).max() <= 3


def test_no_texts_are_no_rows() -> None:
    """An empty batch keeps its width."""
    assert surface([]).shape == (0, len(FEATURES))


def test_a_long_text_takes_little_time() -> None:
    """Under 5 ms of the processor even at the cut, where a usual query takes about 0.2 ms."""
    text = "Which of 3 options (A) is not f(x) = 2; true? " * 100
    surface([text])
    start = time.process_time()
    for _ in range(10):
        surface([text])
    assert (time.process_time() - start) / 10 < 0.005


def test_blanks_around_a_text_change_nothing() -> None:
    """A service routes on text without them; what it learnt from may have them."""
    text = "def total(x):\n    return x"
    np.testing.assert_array_equal(surface([f"\n\n {text} \n"]), surface([text]))
