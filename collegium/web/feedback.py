"""POST /v1/feedback, and GET /v1/decisions/{id} to see what was recorded."""

from __future__ import annotations

import secrets
from dataclasses import asdict

from fastapi import APIRouter

from collegium.experts.client import Json
from collegium.registry.decisions import FeedbackRecord
from collegium.web.dependencies import ServiceDep
from collegium.web.schemas import FeedbackRequest

routes = APIRouter()


@routes.post("/v1/feedback")
async def feedback(body: FeedbackRequest, service: ServiceDep) -> Json:
    """Record what a person thought of a decision."""
    record = FeedbackRecord(
        id=f"fb_{secrets.token_hex(12)}",
        decision_id=body.decision_id,
        verdict=body.verdict,
        comment=body.comment,
    )
    await service.log.feedback(record)
    return {"id": record.id, "decision_id": record.decision_id, "verdict": record.verdict}


@routes.get("/v1/decisions/{decision_id}")
async def decision(decision_id: str, service: ServiceDep) -> Json:
    """One decision with its outcome and feedback."""
    return asdict(await service.log.get(decision_id))
