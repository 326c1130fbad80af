"""APGR and CPT: how well a router finds the prompts that need the stronger of two models.

RouteLLM (arXiv 2406.18665). Prompts go to the strong model in the order of its forecast lead; PGR
is the share of the strong model's advantage that is recovered, APGR its average over all shares of
calls (0.5 is chance), CPT(x) the share of calls that recovers x. Their code takes ten thresholds,
here it is every prompt. In larger pools the pair is the best model and the cheapest.
"""

from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import LEVEL, TINY, Interval, draw_counts

RESAMPLES = 500
CPT_TARGETS = (0.5, 0.8)


@dataclass(frozen=True)
class Pair:
    """Columns of the two models."""

    strong: int
    weak: int


@dataclass(frozen=True)
class PairNumbers:
    """APGR, CPT50 and CPT80 with their intervals; None if undefined."""

    apgr: Interval | None = None
    cpt50: Interval | None = None
    cpt80: Interval | None = None


@dataclass(frozen=True)
class PairCurve:
    """Share of calls to the strong model against the performance gap recovered."""

    share: Floats
    recovered: Floats


def pair_numbers(
    lead: Floats, strong: Floats, weak: Floats, *, seed: int = 0, resamples: int = RESAMPLES
) -> PairNumbers:
    """Measure a forecast lead on prompts where both models were; NaN scores are left out.

    Intervals are of one bootstrap over prompts, whose draws are the same for every lead.
    """
    both = np.isfinite(strong) & np.isfinite(weak)
    lead, strong, weak = lead[both], strong[both], weak[both]
    curve = pair_curve(lead, strong, weak)
    if curve is None:
        return PairNumbers()
    order = np.argsort(-lead, kind="stable")
    gain, ends = (strong - weak)[order], _ends_of_ties(lead[order])
    rows = [np.arange(len(lead), dtype=np.int64)]
    counts = draw_counts(rows, resamples, np.random.default_rng(seed))
    # A draw counts prompts, whatever the order by this lead: so draws are paired between leads.
    share, recovered = _resampled(counts[:, order], gain, ends)
    half, most = (
        _interval(cpt(curve, target), _cpts(share, recovered, target)) for target in CPT_TARGETS
    )
    return PairNumbers(_interval(apgr(curve), _areas(share, recovered)), half, most)


def pair_curve(lead: Floats, strong: Floats, weak: Floats) -> PairCurve | None:
    """Send prompts to the strong model in the order of its forecast lead.

    Prompts of equal lead go together, so that their order by chance does not count. None if
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


def _interval(estimate: float, values: Floats) -> Interval:
    """The percentile interval; the estimate alone where no draw has a value."""
    if not values.size:
        return Interval(estimate, estimate, estimate)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def _resampled(counts: Floats, gain: Floats, ends: Ints) -> tuple[Floats, Floats]:
    """Curves of the draws in which the strong model is better: shares and what they recover."""
    share = np.c_[np.zeros(len(counts)), counts.cumsum(axis=1)[:, ends]] / counts.shape[1]
    gained = np.c_[np.zeros(len(counts)), (counts * gain).cumsum(axis=1)[:, ends]]
    defined = gained[:, -1] > TINY
    return share[defined], gained[defined] / gained[defined, -1:]


def _areas(share: Floats, recovered: Floats) -> Floats:
    """APGR of each curve."""
    middle = (recovered[:, 1:] + recovered[:, :-1]) / 2
    areas: Floats = (np.diff(share, axis=1) * middle).sum(axis=1)
    return areas


def _cpts(share: Floats, recovered: Floats, target: float) -> Floats:
    """The smallest share of strong calls that recovers `target`, of each curve."""
    rows, first = np.arange(len(share)), (recovered >= target - TINY).argmax(axis=1)
    before, after = recovered[rows, first - 1], recovered[rows, first]
    part = (target - before) / (after - before)
    shares: Floats = share[rows, first - 1] + part * (share[rows, first] - share[rows, first - 1])
    return shares


def _ends_of_ties(ordered: Floats) -> Ints:
    """Return the last place of each run of equal values."""
    return np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]).astype(np.int64)
