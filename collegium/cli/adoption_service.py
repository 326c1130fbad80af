"""Let a service that is started for the purpose decide the prompts of an adoption world."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import httpx

if TYPE_CHECKING:
    from collegium.evals.studies.adoption.playing import Adopted

AT_ONCE = 8


def decided_by_api(
    adopted: Adopted, rows: Sequence[int], models: Sequence[str]
) -> dict[str, list[str]]:
    """Return the expert for each prompt, according to `POST /v1/route` for each model."""
    from collegium.router.artifact import save

    with TemporaryDirectory() as folder:
        save(adopted.fitted, Path(folder) / "router")
        environment = {
            "COLLEGIUM_DATA_DIR": folder,
            "COLLEGIUM_ROUTER_DIR": f"{folder}/router",
            "COLLEGIUM_ENCODER": _encoder(adopted.fitted.encoder),
            "COLLEGIUM_EMBEDDED": "false",
            "COLLEGIUM_SPARSE": "false",
        }
        with patch.dict(os.environ, environment):
            return asyncio.run(_decided(adopted, rows, models))


def _encoder(fitted: str) -> str:
    """The setting that makes the encoder which a router was fitted with."""
    from collegium.extensions import extensions

    known = extensions().names("encoder")
    return next((name for name in known if fitted.startswith(name)), fitted)


async def _decided(
    adopted: Adopted, rows: Sequence[int], models: Sequence[str]
) -> dict[str, list[str]]:
    from collegium.cli.local_service import started_service
    from collegium.evals.studies.adoption.playing import body

    await _register(adopted)
    turns = asyncio.Semaphore(AT_ONCE)

    async def decide(http: httpx.AsyncClient, row: int, model: str) -> str:
        async with turns:
            answer = await http.post("/v1/route", json=body(adopted.world, row, model))
        answer.raise_for_status()
        decision: dict[str, Any] = answer.json()
        return str(decision["expert"])

    async with started_service() as url, httpx.AsyncClient(base_url=url, timeout=60.0) as http:
        return {
            model: list(await asyncio.gather(*(decide(http, int(row), model) for row in rows)))
            for model in models
        }


async def _register(adopted: Adopted) -> None:
    from collegium.cli.service_client import open_registry

    async with open_registry() as registry:
        for expert in adopted.world.experts:
            await registry.register(expert)
