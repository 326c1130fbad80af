"""APGR and CPT against RouteLLM's own way of reckoning, and by hand."""

import numpy as np
import pytest

from collegium.evals.core.arrays import Floats
from collegium.evals.core.bootstrap import draw_counts
from collegium.evals.routing.pairs import apgr, cpt, pair_curve, pair_numbers

WEAK = np.array([0.0, 1.0, 0.0, 1.0])
STRONG = np.array([1.0, 1.0, 1.0, 0.0])


def test_by_hand() -> None:
    """Two prompts gain, one is indifferent, one loses: recovered 1, 2, 2, 1 of 1."""
    curve = pair_curve(np.array([4.0, 2.0, 3.0, 1.0]), STRONG, WEAK)
    assert curve is not None
    assert curve.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.recovered.tolist() == [0, 1, 2, 2, 1]
    assert apgr(curve) == pytest.approx(1.375)
    assert cpt(curve, 0.5) == pytest.approx(0.125)
    assert cpt(curve, 0.8) == pytest.approx(0.2)


def test_a_constant_lead_is_chance() -> None:
    """Ties go together: APGR one half, CPT(x) = x, whatever the order of the prompts."""
    found = pair_numbers(np.zeros(4), STRONG, WEAK)
    assert found.apgr is not None
    assert found.apgr.estimate == pytest.approx(0.5)
    assert found.cpt50 is not None
    assert found.cpt80 is not None
    assert found.cpt50.estimate == pytest.approx(0.5)
    assert found.cpt80.estimate == pytest.approx(0.8)
    assert (found.cpt80.low, found.cpt80.high) == pytest.approx((0.8, 0.8))


def thresholds_apgr(lead: Floats, strong: Floats, weak: Floats, count: int) -> float:
    """Reckon as RouteLLM does: accuracy at evenly spread thresholds, area by trapezoids."""
    shares, accuracies = [], []
    for quantile in np.linspace(1, 0, count):
        goes = lead >= np.quantile(lead, quantile)
        shares.append(goes.mean())
        accuracies.append(np.where(goes, strong, weak).mean())
    area = np.trapezoid(accuracies, shares)
    span = shares[-1] - shares[0]
    low, high = weak.mean() * span, strong.mean() * span
    return float((area - low) / (high - low))


def test_it_agrees_with_routellms_thresholds() -> None:
    """With many thresholds theirs comes to ours."""
    rng = np.random.default_rng(3)
    weak, strong = (rng.random((2, 2000)) < [[0.6], [0.8]]).astype(np.float64)
    lead = strong - weak + rng.normal(scale=2.0, size=2000)
    found = pair_numbers(lead, strong, weak)
    assert found.apgr is not None
    assert found.apgr.estimate == pytest.approx(thresholds_apgr(lead, strong, weak, 1000), abs=2e-3)
    assert found.apgr.low < found.apgr.estimate < found.apgr.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of 60 samples of a lead without skill, few intervals miss one half."""
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(60):
        weak, strong = (rng.random((2, 300)) < [[0.4], [0.8]]).astype(np.float64)
        found = pair_numbers(rng.random(300), strong, weak, seed=seed).apgr
        assert found is not None
        hits += found.low <= 0.5 <= found.high
    assert hits >= 52


def test_intervals_are_those_of_single_draws() -> None:
    """Each draw's numbers are those of the curve of the prompts that were drawn."""
    rng = np.random.default_rng(5)
    weak, strong = (rng.random((2, 40)) < [[0.3], [0.8]]).astype(np.float64)
    lead = rng.random(40)
    found = pair_numbers(lead, strong, weak, seed=3, resamples=200)
    counts = draw_counts([np.arange(40)], 200, np.random.default_rng(3)).astype(np.int64)
    rows = [np.repeat(np.arange(40), count) for count in counts]
    curves = [pair_curve(lead[row], strong[row], weak[row]) for row in rows]
    for interval, value in ((found.apgr, apgr), (found.cpt80, lambda c: cpt(c, 0.8))):
        assert interval is not None
        values = [value(curve) for curve in curves if curve is not None]
        low, high = np.quantile(values, [0.025, 0.975])
        assert (interval.low, interval.high) == pytest.approx((low, high))


def test_prompts_where_one_was_not_measured_are_left_out() -> None:
    """And a strong model that is no stronger has no APGR."""
    gaps = np.r_[STRONG, np.nan], np.r_[WEAK, 1.0]
    lead = np.array([4.0, 2.0, 3.0, 1.0, 9.0])
    assert pair_numbers(lead, *gaps).apgr == pair_numbers(lead[:4], STRONG, WEAK).apgr
    assert pair_numbers(lead[:4], WEAK, STRONG).apgr is None
