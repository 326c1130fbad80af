"""/v1/experts: see, register, change and remove experts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.experts.registration import Registration
from collegium.registry.engine import Engine, EngineOptions
from collegium.registry.expert import Expert
from collegium.registry.experts import MOST_PARAMETERS_B, MOST_PRICE
from collegium.web.auth import ADMIN, TenantDep
from collegium.web.json_in import CheckedRoute
from collegium.web.parts_of import CatalogueDep, RegistrationDep, RegistryDep

routes = APIRouter(route_class=CheckedRoute)
Chance = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(max_length=1000)]
Size = Annotated[float, Field(gt=0, le=MOST_PARAMETERS_B, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, le=MOST_PRICE, allow_inf_nan=False)]
"""Dollars per million tokens."""
OWN = ("description", "input_price", "output_price", "generalist", "tags", "prior")
"""What a preset may have of its own."""
FORGETTABLE = ("input_price", "output_price", "prior", "parameters_b")
"""What `null` makes unknown again."""

FOR_CALLERS = (
    *("name", "kind", "description", "input_price", "output_price", "context_window"),
    *("skills", "tags", "generalist", "enabled", "prior", "parameters_b"),
)
"""What of an expert others than the operator see: not where and how it is reached."""


class NewExpert(BaseModel):
    """An expert to register."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: Word
    kind: Literal["openai", "litellm", "lora", "engine"] | None = None
    """Needed unless it is `like` another."""
    model: Word = ""
    engine: Word | EngineOptions | None = None
    """An engine's name, or for the kind `engine` what to start."""
    base_url: Word | None = None
    adapter: Word | None = None
    api_key_env: Word | None = None
    description: Annotated[str, Field(max_length=500)] = ""
    input_price: Price | None = None
    output_price: Price | None = None
    context_window: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    generalist: bool = False
    tags: tuple[str, ...] = ()
    prior: Chance | None = None
    parameters_b: Size | None = None
    like: Word | None = None
    """The expert whose model it is, for a preset."""
    settings: Annotated[dict[str, Any] | None, Field(alias="with")] = None


class ExpertChanges(BaseModel):
    """What may be changed of a registered expert."""

    model_config = ConfigDict(extra="forbid")

    description: Annotated[str, Field(max_length=500)] | None = None
    input_price: Price | None = None
    output_price: Price | None = None
    context_window: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    generalist: bool | None = None
    enabled: bool | None = None
    skills: dict[str, Chance] | None = None
    tags: tuple[str, ...] | None = None
    prior: Chance | None = None
    parameters_b: Size | None = None


@routes.get("/v1/experts")
async def experts(catalogue: CatalogueDep, tenant: TenantDep) -> Json:
    """Every expert, also the disabled ones; callers see what they need to choose."""
    found = [asdict(expert) for expert in await catalogue.now()]
    if tenant:
        found = [{name: expert[name] for name in FOR_CALLERS} for expert in found]
    return {"object": "list", "data": found}


@routes.post("/v1/experts", status_code=201, dependencies=ADMIN)
async def register(body: NewExpert, registration: RegistrationDep) -> Json:
    """Check, probe and register an expert; the next request may go to it."""
    if body.like is not None or body.settings is not None:
        return await _register_preset(body, registration)
    if body.kind is None:
        raise BadRequest("an expert has a kind, or is like another expert", "kind")
    if body.kind == "engine" or isinstance(body.engine, EngineOptions):
        return await _register_engine(body, registration)
    fields = body.model_dump(exclude_none=True, exclude={"like", "settings"})
    fields["model"] = fields["model"] or (body.name if body.kind != "openai" else "")
    stated = body.context_window is not None
    expert, report = await registration.register(Expert(**fields), context_stated=stated)
    return {"expert": asdict(expert), "probe": asdict(report)}


@routes.patch("/v1/experts/{name}", dependencies=ADMIN)
async def change(name: str, body: ExpertChanges, registry: RegistryDep) -> Json:
    """Change an expert; the next request knows it."""
    given = body.model_dump(exclude_unset=True)
    changes = {n: value for n, value in given.items() if value is not None or n in FORGETTABLE}
    return asdict(await registry.update(name, **changes))


@routes.delete("/v1/experts/{name}", status_code=204, dependencies=ADMIN)
async def remove(
    name: str, registration: RegistrationDep, catalogue: CatalogueDep, with_presets: bool = False
) -> Response:
    """Forget an expert; its recorded decisions stay. Its presets go only where that is said."""
    await registration.remove(name, with_presets=with_presets)
    await catalogue.now()  # what ran for it alone is ended in the background
    return Response(status_code=204)


async def _register_preset(body: NewExpert, registration: Registration) -> Json:
    given = body.model_fields_set
    if body.like is None or body.settings is None:
        missing = "like" if body.like is None else "with"
        raise BadRequest("a preset is `like` another expert `with` what is set for it", missing)
    if taken := sorted(given - {"like", "settings", "name", *OWN}):
        raise BadRequest(f"a preset has its base's {', '.join(taken)}", taken[0])
    fields = body.model_dump(include=set(OWN), exclude_none=True)
    expert, report = await registration.register_preset(
        body.name, body.like, body.settings, **fields
    )
    return {"expert": asdict(expert), "probe": asdict(report)}


async def _register_engine(body: NewExpert, registration: Registration) -> Json:
    if body.kind != "engine" or not isinstance(body.engine, EngineOptions):
        wanted = 'the kind "engine" goes with an object in `engine`, other kinds with a name'
        raise BadRequest(wanted, "engine")
    fields = body.model_dump(exclude={"engine", "like", "settings"}, exclude_none=True)
    expert = Expert(**fields | {"model": body.name, "engine": body.name})
    engine = Engine(**dict(body.engine), name=body.name, context=expert.context_window)
    expert, report = await registration.register_engine(expert, engine)
    return {"expert": asdict(expert), "probe": asdict(report)}
