"""/v1/router/versions: the router's versions and the traffic that each decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.registry.learning.router_versions import RouterVersion
from collegium.registry.tables import to_columns
from collegium.web.auth import ADMIN
from collegium.web.json_in import CheckedRoute
from collegium.web.learning.promotion import promote_version, roll_back, try_in_shadow
from collegium.web.learning.spec import Name
from collegium.web.parts_of import PartsDep

routes = APIRouter(prefix="/v1/router", dependencies=ADMIN, route_class=CheckedRoute)


class Promotion(BaseModel):
    """The share of the traffic that a version should decide."""

    model_config = ConfigDict(extra="forbid")

    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Share of the traffic; all of it by default."""
    applications: Annotated[list[Name], Field(max_length=1000)] = []
    unconfirmed: bool = False
    """Promote although too few of the marks that it was fitted on are confirmed."""
    automatic: bool = False
    """Start with 1 %, then continue to 10 % and to all traffic as long as the guards hold."""


class Rollback(BaseModel):
    """Why a version is taken back."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500)] = ""


@routes.get("/versions")
async def versions(parts: PartsDep) -> Json:
    """Return all versions, newest first, without their reports, and the serving router."""
    found = await parts.router_versions.list()
    return {
        "object": "list",
        "serving": parts.router.get().version if parts.router.waits_for() is None else None,
        "data": [version_json(version) | {"report": None} for version in found],
    }


@routes.get("/versions/{version}")
async def version(version: str, parts: PartsDep) -> Json:
    """Return one version with its report."""
    return version_json(await parts.router_versions.get(version))


@routes.post("/versions/{version}/shadow")
async def shadow(version: str, parts: PartsDep) -> Json:
    """Run a version in the shadow of the serving router, and record its choices."""
    return version_json(await try_in_shadow(parts, version))


@routes.post("/versions/{version}/evaluate")
async def evaluate(version: str, parts: PartsDep) -> Json:
    """Evaluate a version on rated decisions."""
    from collegium.web.learning.evaluation import evaluate_version

    return await evaluate_version(parts, version)


@routes.post("/versions/{version}/promote")
async def promote(version: str, body: Promotion, parts: PartsDep) -> Json:
    """Use a version for a share of the traffic, or all of it."""
    if body.automatic and body.share is not None:
        raise BadRequest("`automatic` starts at 1 %: leave `share` out", "share")
    return version_json(
        await promote_version(
            parts,
            version,
            share=1.0 if body.share is None else body.share,
            applications=body.applications,
            unconfirmed=body.unconfirmed,
            automatic=body.automatic,
        )
    )


@routes.post("/rollback")
async def rollback(body: Rollback, parts: PartsDep) -> Json:
    """End a trial, or return to the previous router."""
    gone, now = await roll_back(parts, body.reason)
    return {
        "object": "rollback",
        "rolled_back": version_json(gone) | {"report": None},
        "serving": now,
    }


def version_json(found: RouterVersion) -> Json:
    """A version as the API shows it."""
    return {"object": "router_version", **to_columns(found)}
