"""Noisy marks are corrected by a few confirmed ones, and means of them keep their promise."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.errors import BadRequest
from collegium.experts.marking.error_rates import Confirmed, ErrorRates
from collegium.experts.marking.prediction_powered import ppi_difference, ppi_mean

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
        value, unbiased = np.array([c.value for c in found]), np.array([c.unbiased for c in found])
        assert noisy.mean() != pytest.approx(0.6, abs=0.05)
        assert value.mean() == pytest.approx(0.6, abs=0.02)
        assert unbiased.mean() == pytest.approx(0.6, abs=0.03)
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


def test_without_confirmed_marks_nothing_is_promised() -> None:
    """A good judge has to be shown to be one: a handful of marks is not enough, sixty are."""
    assert ErrorRates([]).corrected("a", 1.0) is None
    random = np.random.default_rng(4)
    true, noisy = world(random, 60, 0.6, 0.9, 0.9)
    assert ErrorRates(confirmed("a", true[:4], noisy[:4])).corrected("a", 1.0) is None
    assert ErrorRates(confirmed("a", true, noisy)).corrected("a", 1.0) is not None


# --- prediction-powered inference ---

JUDGES = [(0.9, 0.8), (0.8, 0.8), (0.95, 0.3), (0.5, 0.5), (0.98, 0.95)]


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(("right", "count"), [(0.5, 20), (0.5, 60), (0.8, 60), (0.95, 60)])
def test_the_interval_covers_the_mean_as_often_as_it_says(
    judge: tuple[float, float], right: float, count: int
) -> None:
    """Whatever the judge's errors are: at least the nominal level less 3 points."""
    random = np.random.default_rng(11)
    covered = {0.9: 0, 0.95: 0}
    for _ in range(1000):
        true, noisy = world(random, 1000, right, *judge)
        for level in covered:
            found = ppi_mean(noisy, noisy[:count], true[:count], level)
            covered[level] += found.low <= right <= found.high
    for level, times in covered.items():
        assert times / 1000 >= level - 0.03


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("count", [30, 60])
def test_the_interval_covers_a_paired_difference(judge: tuple[float, float], count: int) -> None:
    """Of two experts whose right answers coincide often, by a judge that likes the first one."""
    random = np.random.default_rng(12)
    covered = 0
    for _ in range(1000):
        easy = random.random(1000)
        true = np.stack([easy < 0.7, easy + 0.1 * random.normal(size=1000) < 0.6], axis=1)
        sensitivity = np.array([min(judge[0] + 0.1, 1.0), judge[0]])
        hit = random.random(true.shape) < np.where(true, sensitivity, judge[1])
        noisy = np.where(hit, true, ~true).astype(float)
        found = ppi_difference(noisy, noisy[:count], true[:count].astype(float), 0.9)
        covered += found.low <= 0.1 <= found.high
    assert covered / 1000 >= 0.87


def test_a_better_judge_makes_a_narrower_interval() -> None:
    """And a useless one makes it no wider than the confirmed marks alone."""
    random = np.random.default_rng(13)
    widths = []
    for judge in ((0.98, 0.98), (0.85, 0.85), (0.7, 0.7), (0.5, 0.5)):
        true, noisy = world(random, 20_000, 0.5, *judge)
        found = ppi_mean(noisy, noisy[:200], true[:200])
        widths.append(found.high - found.low)
    assert all(a < b for a, b in pairwise(widths))
    assert widths[0] < 0.5 * widths[-1]
    assert widths[-1] < 1.1 * 2 * 1.96 * 0.5 / 200**0.5


def test_intervals_stay_within_what_is_possible() -> None:
    """All right answers are at most all."""
    found = ppi_mean(np.ones(100), np.ones(20), np.ones(20))
    assert (found.high, found.power) == (1.0, 0.0)
    assert 0.6 < found.low < 0.95


@pytest.mark.parametrize(
    ("whole", "noisy", "true", "words"),
    [
        ([1.0] * 99, [1.0] * 9, [1.0] * 9, "too few"),
        ([1.0] * 99, [1.0] * 20, [1.0] * 19, "19 true marks need as many"),
        ([1.0] * 15, [1.0] * 20, [1.0] * 20, "out of all"),
        ([1.0, None] * 20, [1.0] * 20, [1.0] * 20, "without gaps"),
    ],
)
def test_what_makes_no_interval_is_refused(
    whole: list[float], noisy: list[float], true: list[float], words: str
) -> None:
    """With the reason."""
    with pytest.raises(BadRequest, match=words):
        ppi_mean(whole, noisy, true)
    with pytest.raises(BadRequest, match="two columns"):
        ppi_difference(np.ones(50), np.ones(20), np.ones(20))
