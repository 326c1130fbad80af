"""Change keys, teams and experts: through the running service, or directly in the registry."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from collegium.cli.service_client import ServiceClient, running_service
from collegium.settings import load_settings


async def call(method: str, path: str, body: Any = None) -> Any:
    """Call the running service, or the same routes on the registry if none runs."""
    async with running_service() as service:
        if service is not None:
            return await service.call(method, path, body)
    async with _in_this_process() as service:
        return await service.call(method, path, body)


@asynccontextmanager
async def _in_this_process() -> AsyncGenerator[ServiceClient]:
    """The application on the registry, not started: no engine, no router, no background work.

    So a change is checked and recorded the same way, whether a service runs or not.
    """
    import httpx

    from collegium.web.app import create_app

    settings = load_settings()
    app = create_app(settings.model_copy(update={"embedded": False}))
    parts = app.state.parts
    client = ServiceClient(settings)
    headers = client.http.headers
    await client.http.aclose()
    transport = httpx.ASGITransport(app)
    client.http = httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers=headers
    )
    try:
        await parts.database.migrate()
        await parts.callers.follow()
        async with client.http:
            yield client
    finally:
        await parts.pool.aclose()
        await parts.state.close()
        await parts.log.aclose()
        await parts.database.close()
        parts.audit.close()
