"""Outcomes of two routers' decisions: the sums that their guards compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from collegium.registry.storage.database import Database
from collegium.registry.tables import DecisionRow, FeedbackRow, OutcomeRow

TURNED = ("regenerate", "ask_another")


@dataclass(frozen=True)
class Became:
    """One router's decisions: how many have an outcome, and sums over them."""

    decisions: int = 0
    errors: int = 0
    turned: int = 0
    """Answers from which a person turned to another one."""
    priced: int = 0
    usd: float = 0.0
    usd_squares: float = 0.0
    scores: int = 0
    score: float = 0.0
    score_squares: float = 0.0


class Guarding:
    """Sums over the decision log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def became(self, router: str, since: datetime, applications: Sequence[str]) -> Became:
        """Return the sums over the outcomes of a router's own choices since a time."""
        chosen = [DecisionRow.created_at >= since, DecisionRow.router == router]
        chosen.append(DecisionRow.policy.not_in(("named", "panel")))
        if applications:
            chosen.append(DecisionRow.application.in_(applications))
        outcomes = await self._one(_outcomes(), chosen)
        said = await self._one(_feedback(), chosen)
        decisions, errors, priced, usd, usd_squares = outcomes
        turned, scores, score, score_squares = said
        return Became(
            int(decisions or 0),
            int(errors or 0),
            int(turned or 0),
            int(priced or 0),
            float(usd or 0.0),
            float(usd_squares or 0.0),
            int(scores or 0),
            float(score or 0.0),
            float(score_squares or 0.0),
        )

    async def _one(self, statement: Any, chosen: Sequence[ColumnElement[bool]]) -> Any:
        async with self._database.session() as session:
            return (await session.execute(statement.where(*chosen))).one()


def _outcomes() -> Any:
    cost = OutcomeRow.cost_usd
    return select(
        func.count(OutcomeRow.decision_id),
        func.sum(case((OutcomeRow.status == "error", 1), else_=0)),
        func.count(cost),
        func.sum(cost),
        func.sum(cost * cost),
    ).join(DecisionRow, DecisionRow.id == OutcomeRow.decision_id)


def _feedback() -> Any:
    score = FeedbackRow.score
    turned = case((FeedbackRow.source.in_(TURNED), FeedbackRow.decision_id))
    return select(
        func.count(func.distinct(turned)),
        func.count(score),
        func.sum(score),
        func.sum(score * score),
    ).join(DecisionRow, DecisionRow.id == FeedbackRow.decision_id)
