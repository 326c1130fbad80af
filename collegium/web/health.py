"""GET /healthz, /readyz and /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from collegium import __version__
from collegium.registry.connections import registry_digest
from collegium.web.dependencies import ServiceDep

routes = APIRouter()


@routes.get("/healthz")
async def healthz(service: ServiceDep) -> dict[str, str]:
    """The process lives. `registry` lets a command-line user see that this is the same registry."""
    digest = registry_digest(service.database.where)
    return {"status": "ok", "service": "collegium", "version": __version__, "registry": digest}


@routes.get("/readyz")
async def readyz(service: ServiceDep) -> JSONResponse:
    """The service can answer, or what it waits for."""
    waiting = service.not_ready()
    if waiting is None:
        return JSONResponse({"status": "ready"})
    status = "failed" if service.failure else "starting"
    headers = {"Retry-After": "5"}
    return JSONResponse({"status": status, "detail": waiting}, 503, headers)


@routes.get("/metrics")
async def metrics(service: ServiceDep) -> Response:
    """Counters for Prometheus."""
    service.metrics.queues(service.pool.dispatcher)
    service.metrics.database(service.database.detours)
    states = {name: engine.status.state for name, engine in service.engines.items()}
    service.metrics.engines({name: state == "ready" for name, state in states.items()})
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")
