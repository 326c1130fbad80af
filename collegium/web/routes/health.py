"""GET /healthz, /readyz and /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client.exposition import choose_encoder

from collegium import __version__
from collegium.redaction import redacted
from collegium.registry.storage.connections import registry_digest
from collegium.web.auth import ADMIN
from collegium.web.parts_of import PartsDep
from collegium.web.serving.service import Service

routes = APIRouter()


@routes.get("/healthz")
async def healthz(request: Request, parts: PartsDep) -> dict[str, str]:
    """The process lives. `registry` lets a command-line user see that this is the same registry."""
    service: Service = request.app.state.service
    digest = registry_digest(parts.database.where)
    told = {"status": "ok", "service": "collegium", "version": __version__, "registry": digest}
    return told if service.crew is None else told | {"workers": service.crew.ready()}


@routes.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Report whether the service can answer, or what it is waiting for."""
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


@routes.get("/metrics", response_class=PlainTextResponse, dependencies=ADMIN)
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus; with exemplars in the OpenMetrics format, where that is accepted."""
    service: Service = request.app.state.service
    registry = await service.metrics()
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"content-type": media_type})
