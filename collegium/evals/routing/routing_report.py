"""Measurements of routers on recorded outcomes, as values and JSON."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from collegium.evals.core.bootstrap import Interval
from collegium.evals.core.calibration import Calibration
from collegium.evals.core.provenance import Provenance
from collegium.evals.routing.robustness.report import MeanRobustness, ServedRobustness
from collegium.evals.routing.spreading import Spread

Kind = Literal["oracle", "router", "peer", "baseline"]


@dataclass(frozen=True)
class Robustness:
    """Paraphrases: how often the choice stays the same, and the mean score they cost."""

    paraphrases: int
    same_choice: float
    score_change: float


@dataclass(frozen=True)
class Contender:
    """The measurements of one router or baseline; None if not defined here."""

    name: str
    kind: Kind
    note: str
    accuracy: Interval
    """Mean score over prompts, in [0, 1]."""
    macro_accuracy: Interval
    """Mean over tasks of the mean score on each."""
    groups: dict[str, Interval]
    """Macro accuracy within each of the set's own groups of tasks."""
    per_task: dict[str, float]
    cost_usd: float
    """Mean dollars a query."""
    apgr: Interval | None
    cpt50: Interval | None
    cpt80: Interval | None
    aiq: Interval | None
    gap_at_oracle: float
    """1 - accuracy / the oracle's accuracy."""
    calibration: Calibration | None
    """Over the forecasts of every measured cell."""
    chosen_calibration: Calibration | None
    spread: Spread | None
    robustness: Robustness | None
    differences: dict[str, Interval]
    """Accuracy less that of the best single model, the task table, the tuned kNN; a router's also
    less that of each peer."""
    same_choices: tuple[str, ...]
    """Those of the compared that chose the same model for every prompt."""
    macro_differences: dict[str, Interval]
    group_differences: dict[str, dict[str, Interval]]
    """The same within each group, of macro accuracies."""
    curve: tuple[tuple[float, float], ...]
    """(dollars a query, accuracy) from money no object to the cheapest model."""
    seconds: float
    """Learning and forecasting, all folds."""

    @property
    def collapsed(self) -> bool:
        """Whether nearly all prompts go to one model."""
        return self.spread is not None and self.spread.collapsed


@dataclass(frozen=True)
class SetReport:
    """One data set: what was split how, and every contender on its judged prompts."""

    name: str
    models: dict[str, float]
    """Each model's mean score on the judged prompts where it was measured."""
    model_costs: dict[str, float]
    """Each model's mean dollars a query."""
    train_prompts: int
    test_prompts: int
    tasks: dict[str, int]
    """Judged prompts of each task."""
    unseen_tasks: tuple[str, ...]
    """Judged tasks that no training prompt of their fold has."""
    folds: int
    strong: str
    """The best model on training prompts: APGR's strong model."""
    weak: str
    """The cheapest other model: APGR's weak one."""
    cost_source: str
    zero_router_aiq: float | None
    """AIQ of mixing single models by chance: the bar for AIQ."""
    notes: tuple[str, ...]
    dropped_prompts: int
    """Prompts that are not judged, because a router learnt from their text."""
    contenders: tuple[Contender, ...]
    robustness: ServedRobustness | None = None
    """Of the served router's decisions; None if that was not evaluated."""

    def contender(self, name: str, kind: Kind) -> Contender:
        """Return one row; a router may be called like a baseline."""
        return next(row for row in self.contenders if (row.name, row.kind) == (name, kind))

    @property
    def routers(self) -> tuple[Contender, ...]:
        """The rows of routers."""
        return tuple(row for row in self.contenders if row.kind == "router")

    @property
    def peers(self) -> tuple[Contender, ...]:
        """The rows of other projects' routers."""
        return tuple(row for row in self.contenders if row.kind == "peer")


@dataclass(frozen=True)
class Mean:
    """A router over all sets: the mean of its differences, each set counting alike."""

    router: str
    differences: dict[str, Interval]


@dataclass(frozen=True)
class RoutingReport:
    """An evaluation of routers on one or more sets."""

    encoder: str
    left_out: str | None
    headline: str
    """The router that the page shows most of: the service's own, where it is among them."""
    sets: tuple[SetReport, ...]
    means: tuple[Mean, ...]
    provenance: Provenance
    robustness: MeanRobustness | None = None
    """Over the sets where it was measured."""

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        from pydantic import TypeAdapter

        details = TypeAdapter(RoutingReport).dump_python(self, mode="json")
        return {"kind": "routing", **details}

    def to_json(self) -> str:
        """Return the report as JSON for machines."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
