"""POST /v1/feedback, and GET /v1/decisions/{id} to see what was recorded."""

from __future__ import annotations

import secrets
from dataclasses import asdict

from fastapi import APIRouter, Request

from collegium.experts.client import Json
from collegium.registry.decisions import VERDICT_SCORES, FeedbackRecord
from collegium.web.dependencies import ServiceDep
from collegium.web.schemas import FeedbackRequest
from collegium.web.service import Service

routes = APIRouter()


@routes.post("/v1/feedback")
async def feedback(request: Request, body: FeedbackRequest, service: ServiceDep) -> Json:
    """Record what a person thought of a decision, and let it teach."""
    record = FeedbackRecord(
        id=f"fb_{secrets.token_hex(12)}",
        decision_id=body.decision_id,
        verdict=body.verdict,
        comment=body.comment,
        preferred=body.preferred,
    )
    await service.log.feedback(record)
    source = await _source(request, service, body.decision_id)
    service.rate(body.decision_id, VERDICT_SCORES[body.verdict], source)
    return {"id": record.id, "decision_id": record.decision_id, "verdict": record.verdict}


async def _source(request: Request, service: Service, decision_id: str) -> str:
    """Whose rating it is: online learning caps what one source can do.

    Without an API key only this machine's users reach us, and they are the operator ("").
    """
    if service.settings.api_key is None or service.learner is None:
        return ""
    session = (await service.log.get(decision_id)).decision.session
    return session or (request.client.host if request.client else "unknown")


@routes.get("/v1/decisions/{decision_id}")
async def decision(decision_id: str, service: ServiceDep) -> Json:
    """One decision with its outcome and feedback."""
    return asdict(await service.log.get(decision_id))
