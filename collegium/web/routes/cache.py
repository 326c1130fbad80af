"""/v1/cache: how much the response cache holds, and to empty it."""

from __future__ import annotations

from fastapi import APIRouter

from collegium.experts.clients.events import Json
from collegium.web.auth import ADMIN
from collegium.web.parts_of import PartsDep

routes = APIRouter(prefix="/v1/cache", dependencies=ADMIN)


@routes.get("")
async def cache(parts: PartsDep) -> Json:
    """The response cache's mode and bounds, and how much it holds."""
    settings = parts.settings
    held = None if parts.cache is None else await parts.cache.held()
    return {
        "object": "cache",
        "mode": settings.response_cache,
        "ttl_s": settings.response_cache_ttl_s,
        "max_bytes": round(settings.response_cache_max_mib * 2**20),
        "entries": 0 if held is None else held.entries,
        "bytes": 0 if held is None else held.bytes,
    }


@routes.delete("")
async def clear(parts: PartsDep) -> Json:
    """Forget all cached answers, of all replicas where they share Redis."""
    cleared = 0 if parts.cache is None else await parts.cache.clear()
    return {"object": "cache.deleted", "deleted": cleared}
