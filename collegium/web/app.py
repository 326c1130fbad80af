"""The FastAPI application: its routes, pages and error handlers, and the service behind them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from collegium import __version__
from collegium.settings import Settings, load_settings
from collegium.web import errors
from collegium.web.body_limit import BodyLimit
from collegium.web.description import describe
from collegium.web.front import Front
from collegium.web.gate import LOOPBACK, Gate, LoopbackHosts
from collegium.web.json_in import known_parameters
from collegium.web.routes import (
    alarms,
    applications,
    batches,
    budgets,
    cache,
    chat,
    completions,
    decisions,
    embeddings,
    engines,
    experts,
    feedback,
    files,
    health,
    keys,
    learning,
    messages,
    models,
    responses,
    router_versions,
    usage,
)
from collegium.web.serving.build import build
from collegium.web.serving.parts import Parts
from collegium.web.serving.service import Service

STATIC = Path(__file__).parent / "static"
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


def create_app(
    settings: Settings | None = None,
    parts: Parts | None = None,
    *,
    service: Service | None = None,
    forward_to: str | None = None,
) -> FastAPI:
    """Make the application from settings, or of given parts; they start and end with it.

    A worker forwards to the owner's socket what it does not answer itself.
    """
    parts = parts or build(settings or load_settings())
    # FastAPI's own pages for /docs load scripts from other sites.
    app = FastAPI(
        title="Collegium",
        version=__version__,
        lifespan=_lifespan,
        openapi_url=None,  # `describe` serves it, and builds it aside
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # Front puts paths right: clients lose a body on the way
    )
    app.state.parts, app.state.service = parts, service or Service(parts)
    errors.install(app)
    for module in (
        chat, responses, messages, completions, embeddings, models, engines, experts, applications,
        feedback, decisions, files, batches, budgets, learning, router_versions, alarms, usage,
        keys, cache,
    ):  # fmt: skip
        app.include_router(module.routes, dependencies=[Depends(known_parameters)])
    app.include_router(health.routes)
    describe(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_api_route("/", page, include_in_schema=False)
    app.add_api_route("/console", console, include_in_schema=False)
    app.add_api_route("/docs", docs, include_in_schema=False)
    most = round(parts.settings.max_body_mib * 2**20)
    app.add_middleware(BodyLimit, most=most, streamed=(files.PATH,))
    app.add_middleware(Gate)
    if parts.settings.cors_origins:
        from collegium.web.cors import Cors  # for services that browser applications reach

        app.add_middleware(Cors, origins=parts.settings.cors_origins)
    if parts.settings.host in LOOPBACK and parts.settings.api_key is None:
        app.add_middleware(LoopbackHosts)
    if parts.telemetry.on:
        from collegium.web.telemetry.request_spans import RequestSpans  # with a collector

        app.add_middleware(RequestSpans)
    if forward_to is not None:
        from collegium.web.workers.forwarding import Forward  # one of several workers

        app.add_middleware(Forward, socket=forward_to)
    app.add_middleware(Front, routes=app.routes)
    return app


async def page() -> FileResponse:
    """The chat page."""
    return _page("index.html")


async def console() -> FileResponse:
    """The operator's console; its data requires a key if one is set."""
    return _page("console.html")


async def docs() -> FileResponse:
    """The API's reference, rendered from /openapi.json by our own script."""
    return _page("docs.html")


def _page(name: str) -> FileResponse:
    return FileResponse(STATIC / name, headers={"Content-Security-Policy": PAGE_POLICY})


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    service: Service = app.state.service
    await service.open()
    try:
        yield
    finally:
        await service.close()
