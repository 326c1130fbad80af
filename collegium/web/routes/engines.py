"""/v1/engines: the engines that this process runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from collegium.errors import BadRequest, EngineNotFound
from collegium.experts.clients.events import Json
from collegium.experts.fleet import DRAIN_S, Fleet
from collegium.experts.supervisor import Supervisor
from collegium.registry.expert import Expert
from collegium.web.auth import ADMIN, CallerDep, sees_all
from collegium.web.parts_of import CatalogueDep, FleetDep, PartsDep
from collegium.web.serving.metrics import BREAKER, by_expert
from collegium.web.serving.parts import Parts
from collegium.web.serving.service import Service

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

routes = APIRouter()
STATUS = "/v1/experts/status"
FOR_CALLERS = ("name", "state", "in_flight", "max_sequences")
STATUS_FOR_CALLERS = (
    "name", "enabled", "state", "resident", "waiting", "in_flight", "breaker", "paused_s",
)  # fmt: skip


@routes.get("/v1/engines")
async def engines(fleet: FleetDep, catalogue: CatalogueDep, caller: CallerDep) -> Json:
    """List this process's engines and their state.

    Callers see those of the experts that they may ask, without files; operators see all.
    """
    shown = [_engine(engine) for engine in fleet.values()]
    if not sees_all(caller):
        shown = [{name: engine[name] for name in FOR_CALLERS} for engine in shown]
    if not sees_all(caller) and caller.allowed_experts is not None:
        asked = {e.engine for e in await catalogue.now() if caller.permits(e.name)}
        shown = [engine for engine in shown if engine["name"] in asked]
    return {"object": "list", "data": shown}


@routes.post("/v1/engines/{name}/restart", dependencies=ADMIN)
async def restart(name: str, fleet: FleetDep) -> Json:
    """Drain an engine and restart it, even after too many failed starts."""
    engine = fleet.get(name)
    if engine is None:
        raise EngineNotFound(f"this service runs no engine '{name}'; it runs {_names(fleet)}")
    turns = fleet.residents is not None and name in fleet.residents
    absent = turns and engine.status.state == "stopped"
    await engine.drain(DRAIN_S)
    if not absent:  # where engines take turns, one that is not loaded starts in its turn
        await engine.start()
    return _engine(engine)


@routes.get("/v1/engines/{name}/tokens", dependencies=ADMIN)
async def tokens(name: str, fleet: FleetDep) -> Json:
    """Return token-routing statistics of an engine's sparse model, by layer."""
    engine = fleet.get(name)
    if engine is None:
        raise EngineNotFound(f"this service runs no engine '{name}'; it runs {_names(fleet)}")
    policy, file = engine.spec.token_policy, engine.spec.statistics_file
    if policy is None or not policy.statistics or file is None:
        raise BadRequest(
            f"engine '{name}' collects no token statistics: register its expert with "
            "--token-statistics, or, for the mixture, set "
            "COLLEGIUM_SPARSE_TOKEN_POLICY='{\"statistics\": true}'"
        )
    try:
        counted = json.loads(await asyncio.to_thread(file.read_bytes))
    except FileNotFoundError:
        counted = {"layers": []}  # the engine has not loaded its model yet
    return {"engine": name, "token_policy": policy.model_dump(exclude_unset=True), **counted}


@routes.get(STATUS)
async def statuses(request: Request, parts: PartsDep, caller: CallerDep) -> Json:
    """Return the current state of each expert: its engine, queue and circuit breaker."""
    service: Service = request.app.state.service
    live = _live(parts) if service.crew is None else _live_of_all(parts, await service.metrics())
    known = await parts.catalogue.now()
    experts = [live.of(expert) for expert in known if caller.permits(expert.name)]
    if not sees_all(caller):
        experts = [{name: each[name] for name in STATUS_FOR_CALLERS} for each in experts]
    return {"object": "list", "data": experts}


@dataclass(frozen=True)
class _Live:
    """The live state of experts, by name."""

    waiting: Mapping[str, float]
    in_flight: Mapping[str, float]
    circuits: Mapping[str, str]
    pauses: Mapping[str, float]
    lowered: Mapping[str, float]
    fleet: Fleet

    def of(self, expert: Expert) -> Json:
        engine = self.fleet.get(expert.engine or "")
        residents = self.fleet.residents
        turns = residents is not None and engine is not None and engine.name in residents
        return {
            "name": expert.name,
            "enabled": expert.enabled,
            "state": self._state(expert, engine),
            "detail": None if engine is None else engine.status.detail,
            "engine": expert.engine,
            "resident": expert.engine in residents.resident if residents and turns else None,
            "waiting": round(self.waiting.get(expert.name, 0)),
            "in_flight": round(self.in_flight.get(expert.name, 0)),
            "breaker": self.circuits.get(expert.origin, "closed"),
            "paused_s": ceil(self.pauses.get(expert.origin, 0.0)),
            "lowered": self.lowered.get(expert.name, 0.0),
        }

    def _state(self, expert: Expert, engine: Supervisor | None) -> str:
        """Return the state of its engine; `remote` for remote experts, whose state is not known."""
        if not expert.enabled:
            return "disabled"
        if engine is not None:
            return engine.status.state
        return "remote" if expert.engine is None else "absent"


def _live(parts: Parts) -> _Live:
    """Return the state as this process knows it."""
    dispatcher, in_flight = parts.pool.dispatcher, parts.speeds.in_flight.by_expert()
    circuits, pauses = dispatcher.circuits(), dispatcher.pauses()
    lowered = parts.lowered.by_expert
    return _Live(dispatcher.waiting(), in_flight, circuits, pauses, lowered, parts.fleet)


def _live_of_all(parts: Parts, metrics: Collector) -> _Live:
    """Return the state as the metrics of all workers tell it."""
    circuits = {
        expert: next(state for state, level in BREAKER.items() if level == value)
        for expert, value in by_expert(metrics, "collegium_breaker").items()
    }
    waiting = by_expert(metrics, "collegium_queue_depth")
    in_flight = by_expert(metrics, "collegium_in_flight")
    pauses = by_expert(metrics, "collegium_paused_seconds")
    return _Live(waiting, in_flight, circuits, pauses, parts.lowered.by_expert, parts.fleet)


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
        "in_flight": engine.in_flight + engine.asked_elsewhere,
        "max_sequences": spec.max_sequences,
        "replicas": [_replica(replica) for replica in engine.replicas],
    }


def _replica(engine: Supervisor) -> Json:
    """One of the processes that answer for an engine; `node` is empty for this machine."""
    status = engine.status
    return {
        "state": status.state,
        "detail": status.detail,
        "node": status.node,
        "starts": engine.incarnation,
        "in_flight": engine.in_flight,
    }
