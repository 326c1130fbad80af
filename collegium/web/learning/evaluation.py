"""Evaluate a version of the router on rated decisions that another version made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from collegium.errors import CollegiumError, LearningRefused
from collegium.registry.decisions.log import LoggedDecision
from collegium.registry.expert import Expert
from collegium.router.decision import Decision, Limits, Query
from collegium.router.eligibility import IF_NEEDED, NOT_ELIGIBLE
from collegium.router.rules import Rules
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.serving.parts import Parts

if TYPE_CHECKING:
    from collegium.router.router import Router

Json = dict[str, Any]
MOST = 2000
"""The latest rated decisions that are decided again."""
FEWEST = 30.0
"""Effective decisions: fewer say nothing of a version."""
SHOWN = 5000
"""The number of latest decisions over which agreement in shadow mode is reported."""


@dataclass(frozen=True)
class _Again:
    """A rated decision, and what the version would have decided."""

    logged: LoggedDecision
    chosen: Decision

    @property
    def same(self) -> bool:
        return self.chosen.expert == self.logged.answered_by

    @property
    def reward(self) -> float:
        return float(np.mean(self.logged.scores))


async def evaluate_version(parts: Parts, version_id: str) -> Json:
    """Estimate the ratings that a version's answers would get; raise LearningRefused if too few
    ratings are of answers that it would have chosen too.
    """
    from collegium.router.online.off_policy import doubly_robust, self_normalised

    files = await parts.router_versions.files(version_id)
    router = await asyncio.to_thread(parts.router_maker.from_files, *files, version_id)
    rows = [entry for entry in await parts.log.rated(MOST) if is_routed(entry)]
    again = await _decided_again(router, rows, await parts.catalogue.now())
    reward = np.array([row.reward for row in again])
    propensity = np.array([row.logged.decision.propensity for row in again])
    target = np.array([float(row.same) for row in again])
    effective = _effective(target / propensity) if again else 0.0
    if effective < FEWEST:
        raise LearningRefused(
            f"{len(again)} rated decisions are worth {effective:.0f} of {version_id}'s own, and "
            f"{FEWEST:.0f} are needed: gather more ratings (POST /v1/feedback), or let it decide "
            f"a share with `collegium router promote {version_id} --share 0.01`"
        )
    logged = np.array([_believed(row, row.logged.answered_by) for row in again])
    wanted = np.array([_believed(row, row.chosen.expert) for row in again])
    return {
        "object": "router_evaluation",
        "version": version_id,
        "rated": len(again),
        "effective": round(effective, 1),
        "serving_score": round(float(reward.mean()), 4),
        "self_normalised": asdict(self_normalised(reward, propensity, target)),
        "doubly_robust": asdict(doubly_robust(reward, propensity, target, logged, wanted)),
        "same_choices": round(float(target.mean()), 4),
        "explored": round(float((propensity < 1).mean()), 4),
        **_money(again),
        "shadow": await _in_shadow(parts, version_id),
    }


def _believed(row: _Again, expert: str) -> float:
    found = row.logged.quality_of(expert)
    return 0.5 if found is None else found


def is_routed(entry: LoggedDecision) -> bool:
    """Whether the router chose who answered, alone and by known odds."""
    decision, outcome = entry.decision, entry.outcome
    answered = outcome is not None and outcome.status == "ok" and not outcome.calls
    return answered and decision.requested_model in VIRTUAL_MODELS and decision.propensity > 0


async def _decided_again(
    router: Router, rows: Sequence[LoggedDecision], experts: Sequence[Expert]
) -> list[_Again]:
    found = []
    for entry in rows:
        there = {
            f["expert"]
            for f in entry.decision.forecasts
            if not f["note"].startswith((NOT_ELIGIBLE, IF_NEEDED))
        }
        able = [expert for expert in experts if expert.name in there]
        try:
            chosen = await router.decide(_query(entry), able, lambda expert: None)
        except CollegiumError:  # its experts are gone, or fit its limits no more
            continue
        found.append(_Again(entry, chosen))
        await asyncio.sleep(0)
    return found


def _query(entry: LoggedDecision) -> Query:
    decision, outcome = entry.decision, entry.outcome
    limits: Json = {k: tuple(v) if isinstance(v, list) else v for k, v in decision.limits.items()}
    limits["require"] = Rules.of(limits.get("require"))
    return Query(
        decision.prompt or "",
        requested_model=decision.requested_model,
        limits=Limits(**limits),
        prompt_tokens=None if outcome is None else outcome.prompt_tokens or None,
        application=decision.application,
    )


def _effective(weights: Any) -> float:
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _money(again: Sequence[_Again]) -> Json:
    """Forecast dollars per thousand requests, by the version's own forecasts of both choices."""
    pairs = []
    for row in again:
        cost = {f.expert: f.cost_usd for f in row.chosen.forecasts}
        before, now = cost.get(row.logged.decision.expert), cost.get(row.chosen.expert)
        if before is not None and now is not None:
            pairs.append((before, now))
    before, now = np.mean(pairs, axis=0) if pairs else (None, None)
    return {
        "usd_per_1k": None if now is None else round(1000 * float(now), 6),
        "serving_usd_per_1k": None if before is None else round(1000 * float(before), 6),
    }


async def _in_shadow(parts: Parts, version_id: str) -> Json | None:
    """Return how often it agreed with the serving router; None if it never ran in shadow mode."""
    rows = [entry.decision for entry in await parts.log.recent(SHOWN)]
    shadows = [(r.shadow, r.expert) for r in rows if r.shadow and r.shadow["router"] == version_id]
    if not shadows:
        return None
    same = sum(shadow["expert"] == expert for shadow, expert in shadows)
    return {"decisions": len(shadows), "same_choices": round(same / len(shadows), 4)}
