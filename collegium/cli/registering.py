"""Register, probe and remove experts: through the running service, or here if none runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from collegium.cli.service_client import open_registry, running_service
from collegium.errors import CollegiumError
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.registry.capabilities import revised
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.settings import load_settings


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
    async with _registration() as registration:
        if "like" in body:
            known = {"like": body.pop("like"), "settings": body.pop("with")}
            expert, report = await registration.register_preset(**known, **body)
        else:
            stated = "context_window" in body
            described = Expert(**body | revised(Expert("", "openai", ""), body))
            expert, report = await registration.register(described, context_stated=stated)
    return {"expert": asdict(expert), "probe": asdict(report)}


async def probe(name: str) -> dict[str, Any]:
    """Find out what a registered expert can do; return the report."""
    async with running_service() as service:
        if service is not None:
            probed: dict[str, Any] = await service.call("POST", f"{_path(name)}/probe")
            return dict(probed["probe"])
    async with _registration() as registration:
        return asdict((await registration.probe_again(name))[1])


async def remove(name: str, *, with_presets: bool) -> None:
    """Remove an expert, and its engine."""
    async with running_service() as service:
        if service is not None:
            query = "?with_presets=true" if with_presets else ""
            await service.call("DELETE", f"{_path(name)}{query}")
            return
    async with _registration() as registration:
        await registration.remove(name, with_presets=with_presets)


@asynccontextmanager
async def _registration() -> AsyncGenerator[Registration]:
    """Registration without a service: it asks upstreams, but starts no engine."""
    settings = load_settings()
    pool = Pool({}, timeout_s=settings.request_timeout_s, key_variables=settings.api_key_variables)
    try:
        async with open_registry() as registry:
            yield Registration(registry, pool, engines=EngineRegistry(registry.database))
    finally:
        await pool.aclose()


def _path(name: str) -> str:
    return f"/v1/experts/{quote(name, safe='')}"
