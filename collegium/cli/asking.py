"""Ask a registered expert from the command line to say hello."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

from collegium.cli.service_client import open_registry, running_service
from collegium.evals.endpoint import Endpoint
from collegium.experts.pool import Pool
from collegium.experts.registration import PROBE, Registration
from collegium.settings import Settings, load_settings


async def probe_expert(name: str) -> dict[str, Any]:
    """Ask an expert to say hello, through the running service or from here."""
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
            return asdict(await Registration(registry, pool).probe(expert))
        answer = await service.call("POST", "/v1/chat/completions", {**PROBE, "model": name})
    latency_ms = answer["collegium"]["outcome"]["latency_ms"]
    text = answer["choices"][0]["message"]["content"]
    note = "answered its probe"
    return {
        "expert": name,
        "answered": True,
        "answer": text,
        "latency_ms": latency_ms,
        "note": note,
    }


def endpoint(settings: Settings, url: str) -> Endpoint:
    """The API of a service as evaluations use it."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return Endpoint(f"{url.rstrip('/')}/v1", api_key=key)
