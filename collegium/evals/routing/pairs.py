"""APGR and CPT: how well a router tells which prompts need the strong one of two models.

RouteLLM (arXiv 2406.18665). Prompts go to the strong model in the order of its forecast lead; PGR
is the share of the strong model's advantage that is recovered, APGR its average over all shares of
calls (0.5 is chance), CPT(x) the share of calls that recovers x. Their code takes ten thresholds,
here it is every prompt. In larger pools the pair is the best model and the cheapest.
"""

from dataclasses import dataclass

import numpy as np

from collegium.evals.arrays import Floats, Ints
from collegium.evals.bootstrap import LEVEL, TINY, Interval, draw_counts

RESAMPLES = 500
CPT_TARGETS = (0.5, 0.8)


@dataclass(frozen=True)
class Pair:
    """Columns of the two models."""

    strong: int
    weak: int


@dataclass(frozen=True)
class PairNumbers:
    """APGR with its interval, CPT50 and CPT80; None where undefined."""

    apgr: Interval | None = None
    cpt50: float | None = None
    cpt80: float | None = None


@dataclass(frozen=True)
class PairCurve:
    """Share of calls to the strong model against the performance gap recovered."""

    share: Floats
    recovered: Floats


def pair_numbers(lead: Floats, strong: Floats, weak: Floats, *, seed: int = 0) -> PairNumbers:
    """Measure a forecast lead on prompts where both models were; NaN scores are left out."""
    both = np.isfinite(strong) & np.isfinite(weak)
    lead, strong, weak = lead[both], strong[both], weak[both]
    curve = pair_curve(lead, strong, weak)
    if curve is None:
        return PairNumbers()
    half, most = (cpt(curve, target) for target in CPT_TARGETS)
    return PairNumbers(apgr_interval(lead, strong, weak, seed=seed), half, most)


def pair_curve(lead: Floats, strong: Floats, weak: Floats) -> PairCurve | None:
    """Send prompts to the strong model in the order of its forecast lead.

    Prompts of equal lead go together, so that their order by chance does not count. None where
    the strong model is no better than the weak one.
    """
    gain = strong - weak
    if gain.sum() <= TINY:
        return None
    order = np.argsort(-lead, kind="stable")
    ends = _ends_of_ties(lead[order])
    recovered = np.r_[0.0, gain[order].cumsum()[ends]] / gain.sum()
    return PairCurve(np.r_[0.0, (ends + 1) / len(lead)], recovered)


def apgr(curve: PairCurve) -> float:
    """Return the gap recovered, averaged over all shares of calls; 0.5 is chance."""
    return float(np.trapezoid(curve.recovered, curve.share))


def cpt(curve: PairCurve, target: float) -> float:
    """Return the smallest share of strong calls that recovers `target` of the gap."""
    first = int((curve.recovered >= target - TINY).argmax())
    before, after = curve.recovered[first - 1], curve.recovered[first]
    part = (target - before) / (after - before)
    return float(curve.share[first - 1] + part * (curve.share[first] - curve.share[first - 1]))


def apgr_interval(
    lead: Floats, strong: Floats, weak: Floats, *, seed: int, resamples: int = RESAMPLES
) -> Interval | None:
    """Return APGR with its 95 % bootstrap interval over prompts; None where undefined."""
    curve = pair_curve(lead, strong, weak)
    if curve is None:
        return None
    order = np.argsort(-lead, kind="stable")
    gain, ends = (strong - weak)[order], _ends_of_ties(lead[order])
    rows = [np.arange(len(lead), dtype=np.int64)]
    values = _resampled(draw_counts(rows, resamples, np.random.default_rng(seed)), gain, ends)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values[np.isfinite(values)], [tail, 1 - tail])
    return Interval(apgr(curve), float(low), float(high))


def _resampled(counts: Floats, gain: Floats, ends: Ints) -> Floats:
    share = np.c_[np.zeros(len(counts)), counts.cumsum(axis=1)[:, ends]] / counts.shape[1]
    recovered = np.c_[np.zeros(len(counts)), (counts * gain).cumsum(axis=1)[:, ends]]
    total = recovered[:, -1]
    area = (np.diff(share, axis=1) * (recovered[:, 1:] + recovered[:, :-1]) / 2).sum(axis=1)
    return np.where(total > TINY, area / np.where(total > TINY, total, 1), np.nan)


def _ends_of_ties(ordered: Floats) -> Ints:
    """Return the last place of each run of equal values."""
    return np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]).astype(np.int64)
