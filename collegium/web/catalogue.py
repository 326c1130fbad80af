"""GET /v1/models, and /v1/experts: see, register, change and remove experts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Response

from collegium.errors import BadRequest, EngineNotFound
from collegium.experts.aggregation.catalogue import MODES
from collegium.experts.client import Json
from collegium.experts.fleet import DRAIN_S
from collegium.experts.supervisor import Supervisor
from collegium.registry.engine import Engine, EngineOptions
from collegium.registry.expert import Expert
from collegium.router.router import VIRTUAL_MODELS
from collegium.web.dependencies import ServiceDep, administrate
from collegium.web.panel_request import PANEL_MODELS
from collegium.web.schemas import ExpertChanges, NewExpert
from collegium.web.service import Service

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
    virtual += [
        _model(name, {"virtual": True, "description": MODES[mode].text, "aggregate": mode})
        for name, mode in PANEL_MODELS.items()
    ]
    experts = [_model(e.name, _details(e)) for e in await service.experts() if e.enabled]
    return {"object": "list", "data": virtual + experts}


@routes.get("/v1/experts")
async def experts(service: ServiceDep) -> Json:
    """Every expert, also the disabled ones."""
    return {"object": "list", "data": [asdict(e) for e in await service.experts()]}


@routes.post("/v1/experts", status_code=201, dependencies=ADMIN)
async def register(body: NewExpert, service: ServiceDep) -> Json:
    """Check, probe and register an expert; the next request may go to it."""
    if body.kind == "engine" or isinstance(body.engine, EngineOptions):
        return await _register_engine(body, service)
    fields = body.model_dump()
    fields["model"] = fields["model"] or (body.name if body.kind != "openai" else "")
    expert, report = await service.registration.register(Expert(**fields))
    return {"expert": asdict(expert), "probe": asdict(report)}


@routes.patch("/v1/experts/{name}", dependencies=ADMIN)
async def change(name: str, body: ExpertChanges, service: ServiceDep) -> Json:
    """Change an expert; the next request knows it."""
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude_none=True)
    return asdict(await service.registry.update(name, **changes))


@routes.delete("/v1/experts/{name}", status_code=204, dependencies=ADMIN)
async def remove(name: str, service: ServiceDep) -> Response:
    """Forget an expert; its recorded decisions stay."""
    await service.registration.remove(name)
    await service.experts()  # what ran for it alone is ended in the background
    return Response(status_code=204)


async def _register_engine(body: NewExpert, service: Service) -> Json:
    if body.kind != "engine" or not isinstance(body.engine, EngineOptions):
        wanted = 'the kind "engine" goes with an object in `engine`, other kinds with a name'
        raise BadRequest(wanted, "engine")
    fields = body.model_dump(exclude={"engine"}) | {"model": body.name, "engine": body.name}
    engine = Engine(**dict(body.engine), name=body.name, context=body.context_window)
    expert, report = await service.registration.register_engine(Expert(**fields), engine)
    return {"expert": asdict(expert), "probe": asdict(report)}


@routes.get("/v1/engines")
async def engines(service: ServiceDep) -> Json:
    """The engines that this process runs, and how they are."""
    return {"object": "list", "data": [_engine(e) for e in service.engines.values()]}


@routes.post("/v1/engines/{name}/restart", dependencies=ADMIN)
async def restart(name: str, service: ServiceDep) -> Json:
    """Let an engine finish what it has, then start it anew, also where it was given up."""
    engine = service.engines.get(name)
    if engine is None:
        raise EngineNotFound(f"this service runs no engine '{name}'; it runs {_names(service)}")
    absent = engine.status.state == "stopped" and service.engines.residents is not None
    await engine.drain(DRAIN_S)
    if not absent:  # where engines take turns, one that is not loaded starts in its turn
        await engine.start()
    return _engine(engine)


@routes.get("/v1/engines/{name}/tokens", dependencies=ADMIN)
async def tokens(name: str, service: ServiceDep) -> Json:
    """What the token routers of an engine's sparse model did, by layer, since it started."""
    engine = service.engines.get(name)
    if engine is None:
        raise EngineNotFound(f"this service runs no engine '{name}'; it runs {_names(service)}")
    policy, file = engine.spec.token_policy, engine.spec.statistics_file
    if policy is None or not policy.statistics or file is None:
        raise BadRequest(
            f"engine '{name}' counts nothing: register its expert with --token-statistics, or set "
            "COLLEGIUM_SPARSE_TOKEN_POLICY='{\"statistics\": true}' for the mixture"
        )
    try:
        counted = json.loads(await asyncio.to_thread(file.read_bytes))
    except FileNotFoundError:
        counted = {"layers": []}  # the engine has not loaded its model yet
    return {"engine": name, "token_policy": policy.model_dump(exclude_unset=True), **counted}


def _names(service: Service) -> str:
    return ", ".join(service.engines) or "none"


def _engine(engine: Supervisor) -> Json:
    spec, status = engine.spec, engine.status
    return {
        "name": engine.name,
        "model_path": str(spec.model_path),
        "state": status.state,
        "detail": status.detail,
        "pid": status.pid,
        "starts": engine.incarnation,
        "in_flight": engine.in_flight,
        "max_sequences": spec.max_sequences,
    }


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
