"""Register, change, probe and remove experts: through the running service, or here if none runs.

What is done here is in the audit log as what the service does. Failures keep their details, which
the service tells nobody but its log.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from collegium.cli.changing import call
from collegium.cli.service_client import open_registry, running_service
from collegium.errors import CollegiumError
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.registry.capabilities import revised
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.settings import Settings, load_settings
from collegium.web.serving.audit import LONGEST_BODY, audit_of
from collegium.web.serving.callers import ADMINISTRATOR

HERE = "127.0.0.1"
"""Who asks without a key is named by the address."""


async def register(body: dict[str, Any]) -> dict[str, Any]:
    """Probe and register an expert; return it and the probe's report."""
    async with running_service() as service:
        if service is not None:
            registered: dict[str, Any] = await service.call("POST", "/v1/experts", body)
            return registered
    if body.get("kind") == "engine":
        raise CollegiumError("engines are started by the running service: run `collegium serve`")
    if body.get("kind") == "lora":
        body = body | {"model": body["name"]}
    async with _registration("POST", "/v1/experts", body, done=201) as registration:
        if "like" in body:
            known = {"like": body.pop("like"), "settings": body.pop("with")}
            expert, report = await registration.register_preset(**known, **body)
        else:
            stated = "context_window" in body
            described = Expert(**body | revised(Expert("", "openai", ""), body))
            expert, report = await registration.register(described, context_stated=stated)
    return {"expert": asdict(expert), "probe": asdict(report)}


async def change(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Change fields of an expert; return it."""
    changed: dict[str, Any] = await call("PATCH", _path(name), given)
    return changed


async def probe(name: str) -> dict[str, Any]:
    """Find out what a registered expert can do; return the report."""
    async with running_service() as service:
        if service is not None:
            probed: dict[str, Any] = await service.call("POST", f"{_path(name)}/probe")
            return dict(probed["probe"])
    async with _registration("POST", f"{_path(name)}/probe") as registration:
        return asdict((await registration.probe_again(name))[1])


async def remove(name: str, *, with_presets: bool) -> None:
    """Remove an expert, and its engine."""
    query = "with_presets=true" if with_presets else ""
    async with running_service() as service:
        if service is not None:
            await service.call("DELETE", f"{_path(name)}?{query}")
            return
    async with _registration("DELETE", _path(name), query=query, done=204) as registration:
        await registration.remove(name, with_presets=with_presets)


@asynccontextmanager
async def _registration(
    method: str, path: str, body: Any = None, *, query: str = "", done: int = 200
) -> AsyncGenerator[Registration]:
    """Registration without a service: it asks upstreams, but starts no engine.

    The audit log gets the request that a service would have been sent, and its status.
    """
    settings, status = load_settings(), 500
    told = b"" if body is None else json.dumps(body).encode()
    pool = Pool({}, timeout_s=settings.request_timeout_s, key_variables=settings.api_key_variables)
    try:
        async with open_registry() as registry:
            yield Registration(registry, pool, engines=EngineRegistry(registry.database))
        status = done
    except CollegiumError as exc:
        status = exc.http_status
        raise
    finally:
        await pool.aclose()
        _record(settings, method, path, query, told, status)


def _record(
    settings: Settings, method: str, path: str, query: str, body: bytes, status: int
) -> None:
    audit = audit_of(settings)
    scope = {"method": method, "path": path, "query_string": query.encode(), "client": (HERE, 0)}
    caller = HERE if settings.api_key is None else ADMINISTRATOR
    audit.record(scope, caller, status, body[:LONGEST_BODY])
    audit.close()


def _path(name: str) -> str:
    return f"/v1/experts/{quote(name, safe='')}"
