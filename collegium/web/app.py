"""The FastAPI application: routes, page, errors, and the service behind them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from collegium import __version__
from collegium.settings import Settings, load_settings
from collegium.web import errors
from collegium.web.body_limit import BodyLimit
from collegium.web.gate import Gate
from collegium.web.loopback_hosts import LOOPBACK, LoopbackHosts
from collegium.web.routes import (
    alarms,
    applications,
    batches,
    chat,
    decisions,
    engines,
    experts,
    feedback,
    files,
    health,
    learning,
    models,
    router_versions,
)
from collegium.web.serving.build import build
from collegium.web.serving.parts import Parts
from collegium.web.serving.service import Service

STATIC = Path(__file__).parent / "static"
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


def create_app(settings: Settings | None = None, parts: Parts | None = None) -> FastAPI:
    """Make the application from settings, or of given parts; they start and end with it."""
    parts = parts or build(settings or load_settings())
    # FastAPI's own pages for /docs load scripts from other sites.
    app = FastAPI(
        title="Collegium", version=__version__, lifespan=_lifespan, docs_url=None, redoc_url=None
    )
    app.state.parts, app.state.service = parts, Service(parts)
    errors.install(app)
    for module in (
        chat, models, experts, applications, engines, feedback, decisions, files, batches,
        learning, router_versions, alarms,
    ):  # fmt: skip
        app.include_router(module.routes)
    app.include_router(health.routes)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_api_route("/", page, include_in_schema=False)
    app.add_api_route("/docs", docs, include_in_schema=False)
    most = round(parts.settings.max_body_mib * 2**20)
    app.add_middleware(BodyLimit, most=most, streamed=(files.PATH,))
    app.add_middleware(Gate)
    if parts.settings.host in LOOPBACK and parts.settings.api_key is None:
        app.add_middleware(LoopbackHosts)
    return app


async def page() -> FileResponse:
    """The chat page."""
    return _page("index.html")


async def docs() -> FileResponse:
    """The API's description to read, made of /openapi.json by a script of our own."""
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
