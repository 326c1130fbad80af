"""Register, probe and remove experts: through the running service, or here if none runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from collegium.cli.changing import call
from collegium.cli.service_client import running_service
from collegium.errors import CollegiumError


async def register(body: dict[str, Any]) -> dict[str, Any]:
    """Probe and register an expert; return it and the probe's report."""
    if body.get("kind") == "engine":
        async with running_service() as service:
            if service is None:
                raise CollegiumError(
                    "engines are started by the running service: run `collegium serve`"
                )
    registered: dict[str, Any] = await call("POST", "/v1/experts", body)
    return registered


async def change(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Change fields of an expert; return it."""
    changed: dict[str, Any] = await call("PATCH", _path(name), given)
    return changed


async def probe(name: str) -> dict[str, Any]:
    """Find out what a registered expert can do; return the report."""
    probed: dict[str, Any] = await call("POST", f"{_path(name)}/probe")
    return dict(probed["probe"])


async def remove(name: str, *, with_presets: bool) -> None:
    """Remove an expert, and its engine."""
    await call("DELETE", f"{_path(name)}{'?with_presets=true' if with_presets else ''}")


def _path(name: str) -> str:
    return f"/v1/experts/{quote(name, safe='')}"
