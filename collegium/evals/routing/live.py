"""A live pool's outcomes as a routing set, to evaluate its own router's decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.core.bootstrap import Bootstrap, Interval, gap_closed, percentile_interval
from collegium.evals.core.provenance import provenance
from collegium.evals.routing import baselines as base
from collegium.evals.routing.embeddings import EmbeddingCache
from collegium.evals.routing.evaluate import Evaluated, evaluate
from collegium.evals.routing.exam_results import Decisions
from collegium.evals.routing.problem import build
from collegium.evals.routing.routing_report import RoutingReport
from collegium.evals.routing.run import encoded
from collegium.evals.tasks.outcomes import Outcomes
from collegium.experts.questions.endpoint import Decided
from collegium.router.vectors import Encoder

ROUTER = "router"
"""The row of the live router among the contenders."""


@dataclass(frozen=True)
class ChatShare:
    """How many everyday chat prompts went to the generalist."""

    share: Interval
    prompts: int
    source: str


@dataclass(frozen=True)
class LiveReport:
    """What was measured of a pool and its router."""

    routing: RoutingReport
    """One set, whose baselines learn from other parts of it than they are judged on."""
    skills: Mapping[str, Mapping[str, Interval]]
    """Accuracy by task and expert."""
    gap_closed: Interval | None
    """The share of the way from the best single expert, picked in hindsight, to the oracle."""
    overhead_ms: Mapping[str, float]
    """The router's own time a prompt."""
    chat: ChatShare | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: a report of routers, and what only a live pool has."""
        rows = {row.name: row.accuracy.estimate for row in self.routing.sets[0].contenders}
        headline = {name: rows[name] for name in (ROUTER, base.ORACLE, base.RANDOM)}
        return {
            **self.routing.to_dict(),
            "kind": "pool",
            "best_single": rows[base.HINDSIGHT],
            **headline,
            **{name: value for name, value in asdict(self).items() if name != "routing"},
        }


def judge_pool(
    outcomes: Outcomes,
    decided: Sequence[Decided],
    encoder: Encoder,
    cache: EmbeddingCache,
    *,
    chat: ChatShare | None = None,
    command: str = "",
    seed: int = 0,
) -> LiveReport:
    """Judge the decisions, one for each prompt, against experts, baselines and the oracle."""
    problem = build(outcomes, None, seed=seed)
    decisions = Decisions(outcomes.indices(d.expert for d in decided), forecasts(outcomes, decided))
    X = encoded(problem, encoder, cache)
    found = evaluate(problem, X, {}, decided={ROUTER: decisions}, seed=seed)
    made = provenance(command, seed, {"prompts": len(outcomes.prompts)})
    report = RoutingReport(encoder.name, None, ROUTER, (found.report,), (), made)
    taken = np.array([d.overhead_ms for d in decided])
    median, p95 = (float(ms) for ms in np.quantile(taken, [0.5, 0.95]))
    overhead = {"mean": float(taken.mean()), "median": median, "p95": p95}
    return LiveReport(report, skills(outcomes, seed=seed), closed(found), overhead, chat)


def forecasts(outcomes: Outcomes, decided: Sequence[Decided]) -> Floats:
    """P(correct) by prompt and expert, NaN where the router made none."""
    rows = [[d.quality.get(name) for name in outcomes.models] for d in decided]
    return np.array(rows, dtype=np.float64)


def skills(outcomes: Outcomes, *, seed: int = 0) -> dict[str, dict[str, Interval]]:
    """Each expert's accuracy on each task."""
    tasks, found = np.array(outcomes.labels["task"]), {}
    for task in sorted(set(tasks.tolist())):
        bootstrap = Bootstrap(outcomes.scores[tasks == task], seed=seed)
        found[task] = {name: bootstrap.mean(i) for i, name in enumerate(outcomes.models)}
    return found


def closed(found: Evaluated) -> Interval | None:
    """The share of the gap that the live router closes; None if there is no gap."""
    rows = {row.name: i for i, row in enumerate(found.report.contenders)}
    columns = [rows[name] for name in (ROUTER, base.HINDSIGHT, base.ORACLE)]
    means = np.array([found.report.contenders[i].accuracy.estimate for i in columns])
    estimate = float(gap_closed(*means))
    return percentile_interval(estimate, gap_closed(*found.replicates[:, columns].T))


def chat_share(decided: Sequence[Decided], generalist: str, source: str) -> ChatShare:
    """Return how many of the experts chosen for chat prompts are the generalist."""
    hits = np.array([[d.expert == generalist] for d in decided], dtype=np.float64)
    return ChatShare(Bootstrap(hits).mean(0), len(decided), source)
