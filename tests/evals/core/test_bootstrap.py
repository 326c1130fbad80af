"""The bootstrap's intervals hold the truth as often as they promise."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.evals.core.arrays import Floats
from collegium.evals.core.bootstrap import (
    Bootstrap,
    Interval,
    gap_closed,
    resampled_means,
    without_variation,
)

Sample = Callable[[np.random.Generator], tuple[Floats, float]]


def closed(bootstrap: Bootstrap, router: int, single: int, oracle: int) -> Interval | None:
    """The share of the gap between two columns that a third one closes."""
    return bootstrap.interval(lambda m: gap_closed(m[..., router], m[..., single], m[..., oracle]))


def coin(random: np.random.Generator) -> tuple[Floats, float]:
    """Accuracy of an expert that is right seven times in ten."""
    return (random.random((120, 1)) < 0.7).astype(np.float64), 0.7


def skewed(random: np.random.Generator) -> tuple[Floats, float]:
    """Partial credit, mostly high."""
    return random.beta(4, 1, (150, 1)), 0.8


@pytest.mark.parametrize("sample", [coin, skewed])
def test_it_covers_a_known_mean_about_95_times_in_100(sample: Sample) -> None:
    """Over 400 fixed samples the interval of a mean holds the true mean 92 to 98 % of the time."""
    held = 0
    for seed in range(400):
        columns, truth = sample(np.random.default_rng(seed))
        interval = Bootstrap(columns, resamples=400, seed=seed).mean(0)
        held += interval.low <= truth <= interval.high
    assert 0.92 <= held / 400 <= 0.98


def test_it_covers_a_known_paired_difference_and_ratio() -> None:
    """Intervals of a difference and of the gap closed hold the truth of a simulated pool."""
    held = np.zeros(2)
    for seed in range(300):
        hardness = np.random.default_rng(seed).random((200, 1))
        columns = (hardness < np.array([0.5, 0.6, 0.7])).astype(np.float64)
        bootstrap = Bootstrap(columns, resamples=300, seed=seed)
        difference, gap = bootstrap.difference(1, 0), closed(bootstrap, 1, 0, 2)
        assert gap is not None
        held += [difference.low <= 0.1 <= difference.high, gap.low <= 0.5 <= gap.high]
    assert ((held / 300 >= 0.91) & (held / 300 <= 0.98)).all()


def test_pairing_narrows_a_difference() -> None:
    """Prompts that are hard for both experts cancel out of their difference."""
    random = np.random.default_rng(3)
    hardness = random.random(300)
    columns = np.stack([hardness < 0.6, hardness < 0.55], axis=1).astype(np.float64)
    paired = Bootstrap(columns).difference(0, 1)
    columns[:, 1] = random.permutation(columns[:, 1])
    unpaired = Bootstrap(columns).difference(0, 1)
    assert paired.estimate == pytest.approx(unpaired.estimate)
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


def test_its_spread_is_the_standard_error() -> None:
    """The replicates of a mean spread by the textbook's sigma / sqrt(n)."""
    columns = np.random.default_rng(0).random((500, 2))
    spread = resampled_means(columns, resamples=4000).std(axis=0)
    assert spread == pytest.approx(columns.std(axis=0) / np.sqrt(500), rel=0.05)


def test_strata_keep_their_sizes() -> None:
    """With strata the differences between tasks do not widen the interval of the whole."""
    strata = ["easy"] * 100 + ["hard"] * 100
    random = np.random.default_rng(1)
    easy, hard = random.random(100) < 0.95, random.random(100) < 0.05
    columns = np.concatenate([easy, hard])[:, None].astype(np.float64)
    loose = resampled_means(columns).std()
    tight = resampled_means(columns, strata=strata).std()
    within = np.sqrt((easy.var() + hard.var()) / 400)
    assert tight == pytest.approx(within, rel=0.1)
    assert tight < 0.6 * loose


def test_strata_of_one_prompt_each_leave_nothing_to_chance() -> None:
    """A stratum of one row is drawn every time."""
    columns = np.array([[0.0], [1.0], [0.5]])
    means = resampled_means(columns, strata=["a", "b", "c"], resamples=50)
    assert means == pytest.approx(np.full((50, 1), 0.5))


def test_the_same_seed_gives_the_same_interval() -> None:
    """Intervals can be reproduced, and another seed draws otherwise."""
    columns = np.random.default_rng(0).random((50, 1))
    assert Bootstrap(columns, seed=4).mean(0) == Bootstrap(columns, seed=4).mean(0)
    assert Bootstrap(columns, seed=4).mean(0) != Bootstrap(columns, seed=5).mean(0)


def test_a_perfect_score_is_not_certain() -> None:
    """All of 60 right leaves a doubt: the exact binomial bound, not [1, 1]."""
    interval = Bootstrap(np.ones((60, 1))).mean(0)
    assert interval.high == 1
    assert interval.low == pytest.approx(0.025 ** (1 / 60))
    assert Bootstrap(np.zeros((60, 1))).mean(0).high == pytest.approx(1 - 0.025 ** (1 / 60))


def test_two_equal_columns_may_still_differ_elsewhere() -> None:
    """Experts that agree on all prompts seen have a difference of about nought, not of exactly."""
    interval = Bootstrap(np.eye(40)[:, [0, 0]]).difference(0, 1)
    assert interval.estimate == 0
    assert interval.low == pytest.approx(-interval.high)
    assert not interval.excludes(0)
    assert without_variation(0.0, prompts=40, bounds=(-1, 1)) == interval


def test_the_gap_is_undefined_where_the_best_expert_is_the_oracle() -> None:
    """Nothing to gain gives no number, rather than 0, 1 or a warning."""
    columns = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    assert closed(Bootstrap(columns), 0, 0, 1) is None
    assert np.isnan(gap_closed(np.array(0.5), np.array(0.7), np.array(0.7)))


def test_resamples_without_a_gap_are_left_out() -> None:
    """One prompt makes the gap; draws that miss it can't say how much was closed."""
    single = np.ones(10)
    single[0] = 0
    columns = np.stack([np.ones(10), single, np.ones(10)], axis=1)
    assert closed(Bootstrap(columns), 0, 1, 2) == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (np.empty((0, 2)), "at least one prompt"),
        (np.array([[np.nan]]), "missing cells"),
    ],
)
def test_it_refuses_what_it_cannot_resample(columns: Floats, message: str) -> None:
    """Nothing and NaN are errors, not intervals."""
    with pytest.raises(ValueError, match=message):
        Bootstrap(columns)


def test_it_refuses_strata_of_another_length() -> None:
    """A stratum is needed for each row."""
    with pytest.raises(ValueError, match="1 strata for 2 rows"):
        resampled_means(np.ones((2, 1)), strata=["a"])


scores = st.lists(st.tuples(*[st.sampled_from([0.0, 0.25, 1.0])] * 3), min_size=2, max_size=30)


@settings(max_examples=60, deadline=None)
@given(scores)
def test_intervals_hold_their_estimate_and_stay_in_bounds(rows: list[tuple[float, ...]]) -> None:
    """Whatever the scores: low <= high, means in [0, 1], differences in [-1, 1]."""
    bootstrap = Bootstrap(np.array(rows), resamples=100)
    mean, difference = bootstrap.mean(0), bootstrap.difference(0, 1)
    assert 0 <= mean.low <= mean.high <= 1
    assert -1 <= difference.low <= difference.high <= 1
    assert mean.estimate == pytest.approx(np.mean([row[0] for row in rows]))


@settings(max_examples=60, deadline=None)
@given(scores)
def test_the_gap_closed_is_0_for_the_single_expert_and_1_for_the_oracle(
    rows: list[tuple[float, ...]],
) -> None:
    """The two ends of the scale are where they should be, in every resample."""
    table = np.array(rows)
    best = int(table.mean(axis=0).argmax())
    columns = np.column_stack([table[:, best], table.max(axis=1)])
    bootstrap = Bootstrap(columns, resamples=50)
    for router, expected in ((0, 0.0), (1, 1.0)):
        gap = closed(bootstrap, router, 0, 1)
        if columns[:, 0].mean() < columns[:, 1].mean() - 1e-9:
            assert gap is not None
            assert gap.low == pytest.approx(expected)
            assert gap.high == pytest.approx(expected)
        else:
            assert gap is None
