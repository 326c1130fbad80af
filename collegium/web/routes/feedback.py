"""POST /v1/feedback, and GET /v1/decisions/{id} to see what was recorded."""

from __future__ import annotations

import secrets
from dataclasses import asdict

from fastapi import APIRouter

from collegium.experts.clients.events import Json
from collegium.registry.decisions import VERDICT_SCORES, FeedbackRecord
from collegium.web.auth import ADMINISTRATOR, CallerDep
from collegium.web.parts_of import LearningDep, LogDep, SettingsDep
from collegium.web.protocols.chat_request import FeedbackRequest

routes = APIRouter()


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
