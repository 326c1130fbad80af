"""A desk that asks a router about one query at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collegium.errors import ExpertUnavailable
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Forecast, Limits, Query
from collegium.router.router import Router
from tests.router.synthetic import POOL, WordEncoder


def down(*names: str) -> Any:
    """Say of these experts that they are not available."""
    return lambda e: ExpertUnavailable(e.name, "starting", 7) if e.name in names else None


NOBODY_DOWN = down()


class Desk:
    """Asks a router about one query at a time."""

    def __init__(self, fitted: FittedRouter) -> None:
        self.router = Router(WordEncoder(), fitted, Speeds(device_watts=45.0))

    async def ask(
        self,
        text: str,
        *,
        model: str = "auto",
        experts: Sequence[Expert] = POOL,
        unavailable: Any = NOBODY_DOWN,
        session: str | None = None,
        max_tokens: int | None = None,
        **limits: Any,
    ) -> Decision:
        """One decision."""
        query = Query(text, model, Limits(**limits), max_tokens, session_expert=session)
        return await self.router.decide(query, experts, unavailable)


def of(decision: Decision, expert: str) -> Forecast:
    """One expert's forecast."""
    return next(f for f in decision.forecasts if f.expert == expert)
