"""/v1/engines: the engines that this process runs."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter

from collegium.errors import BadRequest, EngineNotFound
from collegium.experts.clients.events import Json
from collegium.experts.fleet import DRAIN_S, Fleet
from collegium.experts.supervisor import Supervisor
from collegium.web.auth import ADMIN, TenantDep
from collegium.web.parts_of import FleetDep

routes = APIRouter()
FOR_CALLERS = ("name", "state", "in_flight", "max_sequences")


@routes.get("/v1/engines")
async def engines(fleet: FleetDep, tenant: TenantDep) -> Json:
    """The engines that this process runs, and how they are; their files are the operator's."""
    shown = [_engine(engine) for engine in fleet.values()]
    if tenant:
        shown = [{name: engine[name] for name in FOR_CALLERS} for engine in shown]
    return {"object": "list", "data": shown}


@routes.post("/v1/engines/{name}/restart", dependencies=ADMIN)
async def restart(name: str, fleet: FleetDep) -> Json:
    """Let an engine finish what it has, then start it anew, also where it was given up."""
    engine = fleet.get(name)
    if engine is None:
        raise EngineNotFound(f"this service runs no engine '{name}'; it runs {_names(fleet)}")
    absent = engine.status.state == "stopped" and fleet.residents is not None
    await engine.drain(DRAIN_S)
    if not absent:  # where engines take turns, one that is not loaded starts in its turn
        await engine.start()
    return _engine(engine)


@routes.get("/v1/engines/{name}/tokens", dependencies=ADMIN)
async def tokens(name: str, fleet: FleetDep) -> Json:
    """What the token routers of an engine's sparse model did, by layer, since it started."""
    engine = fleet.get(name)
    if engine is None:
        raise EngineNotFound(f"this service runs no engine '{name}'; it runs {_names(fleet)}")
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


def _names(fleet: Fleet) -> str:
    return ", ".join(fleet) or "none"


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
