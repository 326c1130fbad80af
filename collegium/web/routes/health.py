"""GET /healthz, /readyz and /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from collegium import __version__
from collegium.redaction import redacted
from collegium.registry.connections import registry_digest
from collegium.web.parts_of import PartsDep
from collegium.web.serving.service import Service

routes = APIRouter()


@routes.get("/healthz")
async def healthz(parts: PartsDep) -> dict[str, str]:
    """The process lives. `registry` lets a command-line user see that this is the same registry."""
    digest = registry_digest(parts.database.where)
    return {"status": "ok", "service": "collegium", "version": __version__, "registry": digest}


@routes.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """The service can answer, or what it waits for."""
    service: Service = request.app.state.service
    waiting = service.waits_for()
    if service.parts.draining.begun:
        waiting = "about to end"
    elif waiting is None and await service.database_is_away():
        waiting = "the database is away"
    if waiting is None:
        return JSONResponse({"status": "ready"})
    status = "failed" if service.parts.router.failure else "starting"
    headers = {"Retry-After": "5"}
    return JSONResponse({"status": status, "detail": redacted(waiting)}, 503, headers)


@routes.get("/metrics")
async def metrics(parts: PartsDep) -> Response:
    """Counters for Prometheus."""
    counters = parts.metrics
    counters.in_flight(parts.speeds.in_flight)
    counters.queues(parts.pool.dispatcher)
    counters.database(parts.database.detours)
    states = {name: engine.status.state for name, engine in parts.fleet.items()}
    counters.engines({name: state == "ready" for name, state in states.items()})
    return Response(counters.text(), media_type="text/plain; version=0.0.4")
