"""Probe a registered expert from the command line."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from collegium.cli.service_client import open_registry, running_service
from collegium.experts.pool import Pool
from collegium.experts.questions.endpoint import Endpoint
from collegium.experts.registration import Registration
from collegium.settings import Settings, load_settings


async def probe_expert(name: str) -> dict[str, Any]:
    """Find out what an expert can do, through the running service or from here."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(open_registry(settings))
        expert = await registry.get(name)
        service = await stack.enter_async_context(running_service(settings))
        if service is None:
            pool = Pool(
                {},
                timeout_s=settings.request_timeout_s,
                key_variables=settings.api_key_variables,
            )
            stack.push_async_callback(pool.aclose)
            return asdict((await Registration(registry, pool).probe_again(name))[1])
        path = f"/v1/experts/{quote(expert.name, safe='')}/probe"
        report: dict[str, Any] = (await service.call("POST", path))["probe"]
        return report


def endpoint(settings: Settings, url: str) -> Endpoint:
    """The API of a service as evaluations use it."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return Endpoint(f"{url.rstrip('/')}/v1", api_key=key)
