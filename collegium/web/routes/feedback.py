"""POST /v1/feedback, and GET /v1/decisions/{id} to see what was recorded."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from collegium.experts.clients.events import Json
from collegium.registry.decisions import VERDICT_SCORES, FeedbackRecord, Verdict
from collegium.web.auth import ADMINISTRATOR, CallerDep
from collegium.web.json_in import CheckedRoute
from collegium.web.parts_of import LearningDep, LogDep, SettingsDep

routes = APIRouter(route_class=CheckedRoute)


class FeedbackRequest(BaseModel):
    """What a person thought of a decision."""

    model_config = ConfigDict(extra="forbid")

    decision_id: Annotated[str, Field(min_length=1, max_length=64)]
    verdict: Verdict
    comment: Annotated[str, Field(max_length=2000)] | None = None
    preferred: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The expert of a panel whose answer was better than the one that was given."""


@routes.post("/v1/feedback")
async def feedback(
    body: FeedbackRequest,
    log: LogDep,
    learning: LearningDep,
    settings: SettingsDep,
    caller: CallerDep,
) -> Json:
    """Record what a person thought of a decision, and let it teach."""
    record = FeedbackRecord(
        id=f"fb_{secrets.token_hex(12)}",
        decision_id=body.decision_id,
        verdict=body.verdict,
        comment=body.comment,
        preferred=body.preferred,
    )
    await log.feedback(record)
    operator = caller == ADMINISTRATOR or settings.api_key is None
    # Only a key tells callers apart for sure: anybody can make up another session.
    learning.rate(body.decision_id, VERDICT_SCORES[body.verdict], "" if operator else caller)
    return {"id": record.id, "decision_id": record.decision_id, "verdict": record.verdict}


@routes.get("/v1/decisions/{decision_id}")
async def decision(decision_id: str, log: LogDep) -> Json:
    """One decision with its outcome and feedback."""
    return asdict(await log.get(decision_id))
