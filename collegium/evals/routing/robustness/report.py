"""What was measured of a router's robustness: values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from collegium.evals.core.bootstrap import Interval


@dataclass(frozen=True)
class Effect:
    """What one kind of disturbance does to decisions."""

    kind: str
    same: Interval
    """Share of decisions that stay the same."""
    saving: Interval | None
    """Share of the best single model's money that is not spent under the disturbance; None if
    that model costs nothing."""
    dearest: Interval
    """Share of decisions for the dearest model."""
    accuracy: Interval
    """Mean score of the chosen models, measured on the undisturbed prompts."""


@dataclass(frozen=True)
class ServedRobustness:
    """Decisions of the served router with disturbances and without; intervals are over prompts."""

    policy: str
    prompts: int
    """Judged prompts that were disturbed, each in every way."""
    dearest_model: str
    undisturbed: Effect
    overall: Effect
    """The mean over all kinds."""
    kinds: tuple[Effect, ...]
    suffix: str
    """What the search found; "" where every decision is for the dearest model anyway."""


@dataclass(frozen=True)
class MeanRobustness:
    """Means over sets, each counting alike; savings over those where they are defined."""

    sets: int
    same: float
    saving: float | None
    saving_disturbed: float | None
    dearest: float
    dearest_disturbed: float


def mean_robustness(found: Sequence[ServedRobustness]) -> MeanRobustness | None:
    """Average over sets; None if there are none."""
    if not found:
        return None
    return MeanRobustness(
        len(found),
        fmean(each.overall.same.estimate for each in found),
        _mean([each.undisturbed.saving for each in found]),
        _mean([each.overall.saving for each in found]),
        fmean(each.undisturbed.dearest.estimate for each in found),
        fmean(each.overall.dearest.estimate for each in found),
    )


def _mean(found: Sequence[Interval | None]) -> float | None:
    known = [each.estimate for each in found if each is not None]
    return fmean(known) if known else None
