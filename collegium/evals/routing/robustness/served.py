"""A router as a service would run it on a set's models, to ask it for decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.signals import SILENT
from collegium.evals.routing.problem import Problem
from collegium.evals.routing.splits import Fold
from collegium.registry.expert import Expert
from collegium.router.applications.signals import Signals
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Query
from collegium.router.forecasting import fingerprint
from collegium.router.router import Router
from collegium.router.training import Measured, fit_router
from collegium.router.vectors import Encoder

POLICY = "collegium/balanced"
"""What decides: the virtual model that saves money at a promised quality."""
TOKENS = 100
"""Of every answer. Prices make up for it: an answer is expected to cost its model's mean cost."""
WATTS = 45.0
CONTEXT = 10_000_000


@dataclass(frozen=True)
class Served:
    """A router with the experts that it chooses among, in the order of the set's models."""

    router: Router
    experts: tuple[Expert, ...]

    def decisions(self, texts: Sequence[str], model: str = POLICY) -> list[Decision]:
        """What the service would decide for requests of these texts, sent at the same time."""
        return asyncio.run(self._decided(texts, model))

    def chosen(self, texts: Sequence[str], model: str = POLICY) -> Ints:
        """The columns of the models that would answer, shape (n,)."""
        number = {expert.name: i for i, expert in enumerate(self.experts)}
        found = [number[decision.expert] for decision in self.decisions(texts, model)]
        return np.array(found, dtype=np.int64)

    async def _decided(self, texts: Sequence[str], model: str) -> list[Decision]:
        asked = [Query(text, model, prompt_tokens=1) for text in texts]
        decide = self.router.decide
        return await asyncio.gather(*(decide(q, self.experts, everybody_is_up) for q in asked))


def everybody_is_up(expert: Expert) -> None:
    """No expert is down."""


def served(problem: Problem, fold: Fold, encoder: Encoder) -> Served:
    """Fit a router to a fold's training prompts, as `router train` does.

    A model costs its mean cost on them, whatever the prompt.
    """
    costs = problem.costs[fold.train].mean(axis=0)
    pairs = zip(problem.models, costs.tolist(), strict=True)
    experts = tuple(_expert(name, cost) for name, cost in pairs)
    fitted = fit_router(_measured(problem, fold.train, experts), encoder)
    return Served(Router(encoder, fitted, Speeds(WATTS)), experts)


def _expert(name: str, cost_usd: float) -> Expert:
    return Expert(
        name,
        "openai",
        name,
        base_url="http://recorded.invalid/v1",
        input_price=0.0,
        output_price=1_000_000 * cost_usd / TOKENS,
        context_window=CONTEXT,
    )


def _measured(problem: Problem, rows: Ints, experts: Sequence[Expert]) -> Measured:
    scores: Floats = problem.scores[rows]
    signals: list[Signals] = [problem.signals[row] for row in rows] if problem.signals else []
    return Measured(
        prompts=[problem.prompts[row] for row in rows],
        skills=[problem.tasks[row] for row in rows],
        groups=[str(family) for family in problem.families[rows]],
        fingerprints=[fingerprint(expert) for expert in experts],
        scores=scores,
        tokens=np.full(scores.shape, float(TOKENS)),
        latency_s=np.full(scores.shape, np.nan),
        signals=signals or [SILENT] * len(rows),
        prompt_tokens=np.zeros(scores.shape),
    )
