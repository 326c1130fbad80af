"""Compare a live service's recorded decisions with its forecasts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.core.calibration import calibration
from collegium.evals.training.learning import is_panel, verdict_score
from collegium.registry.decisions.log import LoggedDecision

FEWEST_RATINGS = 20
"""Of fewer ratings no calibration error is told: chance alone would make one."""


@dataclass(frozen=True)
class ExpertRecord:
    """One expert's decisions: how many, what was forecast of them and what came."""

    expert: str
    decisions: int
    failed: int
    rated: int
    good: float | None
    """Share of good ratings."""
    forecast: float | None
    """Mean forecast of the rated decisions."""
    cost_ratio: float | None
    """Dollars spent for each that was forecast."""
    latency_ratio: float | None
    """Median of measured over forecast latency."""


@dataclass(frozen=True)
class DecisionsReport:
    """All experts, and the forecasts' calibration where people rated enough answers."""

    experts: tuple[ExpertRecord, ...]
    decisions: int
    rated: int
    unmeasured: int
    """Decisions among experts of whom nothing was measured."""
    ece: float | None
    brier: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def decisions_report(log: Sequence[LoggedDecision]) -> DecisionsReport:
    """Sum up a log; SetupError if nothing was decided yet."""
    if not log:
        raise SetupError("the registry has no recorded decisions yet: ask the service something")
    names = sorted({entry.decision.expert for entry in log})
    judged = [
        e for e in log if e.scores and _as_chosen(e) and _chosen(e).get("quality") is not None
    ]
    found = None
    if len(judged) >= FEWEST_RATINGS:
        forecast = np.array([[_chosen(entry)["quality"]] for entry in judged], dtype=np.float64)
        found = calibration(forecast, np.array([[verdict_score(entry)] for entry in judged]))
    return DecisionsReport(
        experts=tuple(_expert(n, [e for e in log if e.decision.expert == n]) for n in names),
        decisions=len(log),
        rated=sum(bool(entry.scores) for entry in log),
        unmeasured=sum(entry.decision.policy == "prior" for entry in log),
        ece=None if found is None else found.ece,
        brier=None if found is None else found.brier,
    )


def _expert(name: str, log: Sequence[LoggedDecision]) -> ExpertRecord:
    own = [entry for entry in log if _as_chosen(entry)]
    answered = [e for e in own if e.outcome is not None and e.outcome.status == "ok"]
    rated = [entry for entry in own if entry.scores]
    spent = np.array([(e.outcome.cost_usd if e.outcome else 0) or 0.0 for e in answered])
    foreseen = np.array([_chosen(e).get("cost_usd") or 0.0 for e in answered])
    took = np.array([(e.outcome.latency_ms if e.outcome else 0) or np.nan for e in answered])
    expected = np.array([_chosen(e).get("latency_ms") or np.nan for e in answered])
    forecasts = [_chosen(e)["quality"] for e in rated if _chosen(e).get("quality") is not None]
    return ExpertRecord(
        expert=name,
        decisions=len(log),
        failed=sum(e.outcome is not None and e.outcome.status == "error" for e in log),
        rated=len(rated),
        good=float(np.mean([verdict_score(entry) for entry in rated])) if rated else None,
        forecast=float(np.mean(forecasts)) if forecasts else None,
        cost_ratio=float(spent.sum() / foreseen.sum()) if foreseen.sum() > 0 else None,
        latency_ratio=_median(took / expected),
    )


def _as_chosen(entry: LoggedDecision) -> bool:
    """Whether the chosen expert answered, alone: else its forecast is of another's answer."""
    return entry.answered_by == entry.decision.expert and not is_panel(entry)


def _median(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _chosen(entry: LoggedDecision) -> dict[str, Any]:
    """The forecast of the expert that was chosen; empty where there was none."""
    mine = (f for f in entry.decision.forecasts if f["expert"] == entry.decision.expert)
    return dict(next(mine, {}))
