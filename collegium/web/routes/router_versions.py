"""/v1/router/versions: the candidates, what each decides now, and how that is changed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.registry.router_versions import RouterVersion
from collegium.registry.tables import to_columns
from collegium.web.auth import ADMIN
from collegium.web.json_in import CheckedRoute
from collegium.web.learning.promotion import promote_version, roll_back, try_in_shadow
from collegium.web.learning.spec import Name
from collegium.web.parts_of import PartsDep

routes = APIRouter(prefix="/v1/router", dependencies=ADMIN, route_class=CheckedRoute)


class Promotion(BaseModel):
    """How much of the traffic a version shall decide."""

    model_config = ConfigDict(extra="forbid")

    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Of the traffic; by default all of it."""
    applications: Annotated[list[Name], Field(max_length=1000)] = []
    unconfirmed: bool = False
    """Promote although nobody confirmed the marks that it was fitted on."""
    automatic: bool = False
    """Begin with 1 %, go on to 10 % and to all of it as long as the guard metrics hold."""


class Rollback(BaseModel):
    """Why a version is taken back."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500)] = ""


@routes.get("/versions")
async def versions(parts: PartsDep) -> Json:
    """All versions, newest first, without their reports; and which router serves now."""
    found = await parts.router_versions.list()
    return {
        "object": "list",
        "serving": parts.router.get().version if parts.router.waits_for() is None else None,
        "data": [version_json(version) | {"report": None} for version in found],
    }


@routes.get("/versions/{version}")
async def version(version: str, parts: PartsDep) -> Json:
    """One version with the report that it was fitted with."""
    return version_json(await parts.router_versions.get(version))


@routes.post("/versions/{version}/shadow")
async def shadow(version: str, parts: PartsDep) -> Json:
    """Let a version decide beside the serving one, and note what it would have done."""
    return version_json(await try_in_shadow(parts, version))


@routes.post("/versions/{version}/evaluate")
async def evaluate(version: str, parts: PartsDep) -> Json:
    """Judge a version on decisions that were made and rated, without letting it decide."""
    from collegium.web.learning.evaluation import evaluate_version

    return await evaluate_version(parts, version)


@routes.post("/versions/{version}/promote")
async def promote(version: str, body: Promotion, parts: PartsDep) -> Json:
    """Let a version decide a share of the traffic, or all of it."""
    if body.automatic and body.share is not None:
        raise BadRequest("`automatic` begins with 1 %: leave `share` out", "share")
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
    """Go back: end a trial, else return to what served before the serving version."""
    gone, now = await roll_back(parts, body.reason)
    return {"object": "rollback", "rolled_back": version_json(gone), "serving": now}


def version_json(found: RouterVersion) -> Json:
    """A version as the API shows it."""
    return {"object": "router_version", **to_columns(found)}
