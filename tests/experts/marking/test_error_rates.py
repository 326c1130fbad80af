"""Noisy marks are corrected by a few confirmed ones, and means of them keep their promise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.experts.marking.error_rates import Confirmed, ErrorRates

Array = NDArray[np.float64]


def world(
    random: np.random.Generator, count: int, right: float, sensitivity: float, specificity: float
) -> tuple[Array, Array]:
    """True marks and a judge's."""
    true = random.random(count) < right
    hit = random.random(count) < np.where(true, sensitivity, specificity)
    return true.astype(float), np.where(hit, true, ~true).astype(float)


def confirmed(expert: str, true: Array, noisy: Array) -> list[Confirmed]:
    rows = zip(noisy, true, strict=True)
    return [Confirmed(str(i), expert, float(n), float(t)) for i, (n, t) in enumerate(rows)]


# --- error rates ---


def test_rates_of_many_confirmed_marks_are_the_true_ones() -> None:
    """Each expert's its own."""
    random = np.random.default_rng(1)
    rows = confirmed("a", *world(random, 3000, 0.6, 0.95, 0.4))
    rows += confirmed("b", *world(random, 3000, 0.6, 0.7, 0.9))
    rates = ErrorRates(rows)
    assert rates.of("a").sensitivity == pytest.approx(0.95, abs=0.02)
    assert rates.of("a").specificity == pytest.approx(0.4, abs=0.04)
    assert rates.of("b").sensitivity == pytest.approx(0.7, abs=0.03)
    assert rates.of("b").specificity == pytest.approx(0.9, abs=0.03)
    assert rates.of("stranger") is rates.pooled


def test_few_marks_of_an_expert_borrow_from_the_others() -> None:
    """Where the experts are alike, more than where they differ; the error is less than alone."""
    alone, shrunk = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        levels = np.clip(0.85 + 0.05 * random.normal(size=8), 0.5, 0.99)
        worlds = [world(random, 10, 0.6, level, 0.8) for level in levels]
        rates = ErrorRates(
            row for i, (t, n) in enumerate(worlds) for row in confirmed(f"e{i}", t, n)
        )
        for i, ((true, noisy), level) in enumerate(zip(worlds, levels, strict=True)):
            if true.sum():
                alone.append(noisy[true == 1].mean() - level)
                shrunk.append(rates.of(f"e{i}").sensitivity - level)
    assert np.square(shrunk).mean() < 0.5 * np.square(alone).mean()


def test_corrected_marks_have_the_true_mean() -> None:
    """Also of a judge that likes one expert better; and they are as sure as they say."""
    random = np.random.default_rng(5)
    judges = {"favourite": (0.95, 0.5), "other": (0.7, 0.95)}
    rows = [row for e, j in judges.items() for row in confirmed(e, *world(random, 4000, 0.6, *j))]
    rates = ErrorRates(rows)
    for expert, judge in judges.items():
        true, noisy = world(random, 20_000, 0.6, *judge)
        found = [c for mark in noisy if (c := rates.corrected(expert, mark)) is not None]
        value, contrast = np.array([c.value for c in found]), np.array([c.contrast for c in found])
        assert noisy.mean() != pytest.approx(0.6, abs=0.05)
        assert value.mean() == pytest.approx(0.6, abs=0.02)
        assert contrast.mean() == pytest.approx(0.6, abs=0.03)
        error = np.square(value - true).mean()
        assert found[0].variance == pytest.approx(error, rel=0.15)
        assert found[0].reliability == pytest.approx(1 - error / true.var(), abs=0.1)
        assert error < np.square(noisy - true).mean()


def mean_of(rates: ErrorRates, expert: str, share: float) -> float:
    """The mean of an expert's corrected marks, of which a share is 1 and the others are 0."""
    right, wrong = rates.corrected(expert, 1.0), rates.corrected(expert, 0.0)
    assert right is not None
    assert wrong is not None
    return share * right.value + (1 - share) * wrong.value


def pools(favour: tuple[float, float]) -> tuple[float, float, float, float]:
    """Eight experts, 60 confirmed marks, a judge of (0.8, 0.85) but for the first expert: errors
    of the experts' means by its marks and by corrected ones, and what the best by each loses.
    """
    sums = np.zeros(4)
    for seed in range(150):
        random = np.random.default_rng(seed)
        right = np.clip(random.normal(0.6, 0.1, 8), 0.2, 0.95)
        judges = [favour] + [(0.8, 0.85)] * 7
        few = [world(random, 8, r, *j) for r, j in zip(right, judges, strict=True)]
        rates = ErrorRates(row for i, w in enumerate(few) for row in confirmed(f"e{i}", *w))
        many = [world(random, 400, r, *j)[1] for r, j in zip(right, judges, strict=True)]
        raw = np.array([noisy.mean() for noisy in many])
        mended = np.array([mean_of(rates, f"e{i}", share) for i, share in enumerate(raw)])
        errors = np.square(raw - right).mean(), np.square(mended - right).mean()
        lost = right.max() - right[raw.argmax()], right.max() - right[mended.argmax()]
        sums += [*errors, *lost]
    raw_error, error, raw_lost, lost = sums / 150
    return float(raw_error), float(error), float(raw_lost), float(lost)


def test_sixty_confirmed_marks_mend_a_judge_with_a_favourite() -> None:
    """And do little harm to one without."""
    raw_error, error, raw_lost, lost = pools(favour=(0.97, 0.35))
    assert error < 0.8 * raw_error
    assert lost < 0.75 * raw_lost
    _, _, raw_lost, lost = pools(favour=(0.8, 0.85))
    assert lost < raw_lost + 0.015


@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.5, 0.5), (1.0, 0.0), (0.3, 0.6)])
def test_a_marker_that_guesses_is_useless(sensitivity: float, specificity: float) -> None:
    """No correction helps where sensitivity + specificity is about 1."""
    random = np.random.default_rng(2)
    rates = ErrorRates(confirmed("a", *world(random, 200, 0.6, sensitivity, specificity)))
    assert not rates.of("a").useful
    assert rates.corrected("a", 1.0) is None


def compared(random: np.random.Generator, says: str) -> list[Confirmed]:
    """Sixty answers, each compared with another expert's: two thirds are as good, the others worse.

    The marker says what is true, always "tie", or anything.
    """
    true = random.choice([0.0, 0.5, 0.5], 60)
    said = {"true": true, "tie": np.full(60, 0.5), "anything": random.choice([0.0, 0.5, 1.0], 60)}
    return confirmed("a", true, said[says])


def test_a_marker_that_finds_the_same_ties_is_useful() -> None:
    """Ties are no errors, though they are half right and half wrong."""
    for seed in range(20):
        rates = ErrorRates(compared(np.random.default_rng(seed), "true"))
        assert rates.pooled.useful
        assert rates.pooled.youden > 0.6
        tie, worse = rates.corrected("a", 0.5), rates.corrected("a", 0.0)
        assert tie is not None
        assert worse is not None
        assert tie.contrast == pytest.approx(0.5, abs=0.15)
        assert tie.contrast - worse.contrast > 0.45


@pytest.mark.parametrize("says", ["tie", "anything"])
def test_a_marker_that_says_tie_whatever_it_sees_is_useless(says: str) -> None:
    """Though most of its marks are the true ones."""
    found = [ErrorRates(compared(np.random.default_rng(s), says)).pooled.useful for s in range(20)]
    assert sum(found) <= 1


def test_without_confirmed_marks_nothing_is_promised() -> None:
    """A good judge has to be shown to be one: a handful of marks is not enough, sixty are."""
    assert ErrorRates([]).corrected("a", 1.0) is None
    random = np.random.default_rng(4)
    true, noisy = world(random, 60, 0.6, 0.9, 0.9)
    assert ErrorRates(confirmed("a", true[:4], noisy[:4])).corrected("a", 1.0) is None
    assert ErrorRates(confirmed("a", true, noisy)).corrected("a", 1.0) is not None
