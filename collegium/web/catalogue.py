"""GET /v1/models, and /v1/experts: see, add, change and remove experts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Response

from collegium.experts.client import Json
from collegium.registry.expert import Expert
from collegium.router.router import VIRTUAL_MODELS
from collegium.web.dependencies import ServiceDep, administrate
from collegium.web.schemas import ExpertChanges, NewExpert

routes = APIRouter()
ADMIN = [Depends(administrate)]
CREATED = 1_760_000_000  # OpenAI's shape wants a time; experts are not dated


@routes.get("/v1/models")
async def models(service: ServiceDep) -> Json:
    """Virtual models first, then the enabled experts."""
    virtual = [
        _model(name, {"virtual": True, "description": text, "tradeoff": tradeoff})
        for name, (tradeoff, text) in VIRTUAL_MODELS.items()
    ]
    experts = [_model(e.name, _details(e)) for e in await service.experts() if e.enabled]
    return {"object": "list", "data": virtual + experts}


@routes.get("/v1/experts")
async def experts(service: ServiceDep) -> Json:
    """Every expert, also the disabled ones."""
    return {"object": "list", "data": [asdict(e) for e in await service.experts()]}


@routes.post("/v1/experts", status_code=201, dependencies=ADMIN)
async def add(body: NewExpert, service: ServiceDep) -> Json:
    """Check, probe and register an expert; the next request may go to it."""
    fields = body.model_dump()
    fields["model"] = fields["model"] or (body.name if body.kind != "openai" else "")
    expert, report = await service.enrolment.add(Expert(**fields))
    return {"expert": asdict(expert), "probe": asdict(report)}


@routes.patch("/v1/experts/{name}", dependencies=ADMIN)
async def change(name: str, body: ExpertChanges, service: ServiceDep) -> Json:
    """Change an expert; the next request knows it."""
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude_none=True)
    return asdict(await service.registry.update(name, **changes))


@routes.delete("/v1/experts/{name}", status_code=204, dependencies=ADMIN)
async def remove(name: str, service: ServiceDep) -> Response:
    """Forget an expert; its recorded decisions stay."""
    await service.registry.remove(name)
    return Response(status_code=204)


def _model(name: str, details: Json) -> Json:
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": "collegium",
        "collegium": details,
    }


def _details(expert: Expert) -> Json:
    shown = ("kind", "description", "input_price", "output_price", "context_window")
    details = {field: getattr(expert, field) for field in shown}
    return {
        "virtual": False,
        **details,
        "skills": dict(expert.skills),
        "enabled": expert.enabled,
        "generalist": expert.generalist,
    }
