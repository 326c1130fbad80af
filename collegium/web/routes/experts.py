"""/v1/experts: list, register, change and remove experts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.experts.registration import Registration
from collegium.registry.capabilities import refuse_its_bases, revised, stated
from collegium.registry.engine import Engine, EngineOptions
from collegium.registry.expert import Expert
from collegium.registry.experts import MOST_PARAMETERS_B, MOST_PRICE
from collegium.registry.prices import MOST_PRICES
from collegium.web.auth import ADMIN, CallerDep, sees_all
from collegium.web.json_in import CheckedRoute
from collegium.web.parts_of import CatalogueDep, RegistrationDep, RegistryDep
from collegium.web.protocols.extension_name import NameOf

routes = APIRouter(route_class=CheckedRoute)
Chance = Annotated[float, Field(ge=0, le=1, strict=True)]
Word = Annotated[str, Field(max_length=1000)]
Size = Annotated[float, Field(gt=0, le=MOST_PARAMETERS_B, allow_inf_nan=False, strict=True)]
Price = Annotated[float, Field(ge=0, le=MOST_PRICE, allow_inf_nan=False, strict=True)]
"""Dollars per million tokens."""
Prices = Annotated[dict[str, Price], Field(max_length=MOST_PRICES)]
"""Prices other than those of input and output."""
OWN = ("description", "input_price", "output_price", "prices", "generalist", "tags", "prior")
"""Fields that a preset may set itself."""
FORGETTABLE = ("input_price", "output_price", "prices", "prior", "parameters_b")
"""Fields that `null` resets to unknown."""

FOR_CALLERS = (
    "name", "kind", "description", "input_price", "output_price", "context_window",
    "skills", "tags", "generalist", "enabled", "prior", "parameters_b", "prices",
    "capabilities", "labels",
)  # fmt: skip
"""Fields that callers other than the operator see: not the expert's address."""


class Capabilities(BaseModel):
    """Capabilities that an operator states; null resets one to unknown."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: bool | None = None
    audio: bool | None = None
    video: bool | None = None
    files: bool | None = None
    audio_output: bool | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    json_schema: bool | None = None
    json_object: bool | None = None
    developer_role: bool | None = None
    hosted_tools: bool | None = None
    logprobs: bool | None = None
    reasoning: bool | None = None
    n: bool | None = None
    chat: bool | None = None
    completions: bool | None = None
    embeddings: bool | None = None
    rerank: bool | None = None
    messages: bool | None = None
    responses: bool | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    window_known: bool | None = None


Label = Annotated[str, Field(min_length=1, max_length=100)]


class Labels(BaseModel):
    """Labels that rules refer to; null removes one."""

    model_config = ConfigDict(extra="forbid")

    licence: Label | None = None
    residency: Label | None = None
    data_class: Label | None = None
    local: Literal["yes", "no"] | None = None


class NewExpert(BaseModel):
    """An expert to register."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: Word
    kind: Annotated[str, NameOf("expert")] | None = None
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
    prices: Prices | None = None
    context_window: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    generalist: bool = False
    tags: tuple[str, ...] = ()
    prior: Chance | None = None
    parameters_b: Size | None = None
    capabilities: Capabilities | None = None
    labels: Labels | None = None
    like: Word | None = None
    """The expert whose model it is, for a preset."""
    settings: Annotated[dict[str, Any] | None, Field(alias="with")] = None


class ExpertChanges(BaseModel):
    """The fields of a registered expert that may be changed."""

    model_config = ConfigDict(extra="forbid")

    description: Annotated[str, Field(max_length=500)] | None = None
    input_price: Price | None = None
    output_price: Price | None = None
    prices: Annotated[dict[str, Price | None], Field(max_length=MOST_PRICES)] | None = None
    """The prices given, `null` to remove one; `null` instead of the object removes all."""
    context_window: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    generalist: bool | None = None
    enabled: bool | None = None
    skills: dict[str, Chance] | None = None
    tags: tuple[str, ...] | None = None
    prior: Chance | None = None
    parameters_b: Size | None = None
    capabilities: Capabilities | None = None
    labels: Labels | None = None


@routes.get("/v1/experts")
async def experts(catalogue: CatalogueDep, caller: CallerDep) -> Json:
    """List all experts, including disabled ones; callers see fewer fields."""
    known = [expert for expert in await catalogue.now() if caller.permits(expert.name)]
    found = [asdict(expert) for expert in known]
    if not sees_all(caller):
        found = [{name: expert[name] for name in FOR_CALLERS} for expert in found]
    return {"object": "list", "data": found}


@routes.post("/v1/experts", status_code=201, dependencies=ADMIN)
async def register(body: NewExpert, registration: RegistrationDep) -> Json:
    """Check, probe and register an expert; the next request may go to it."""
    if body.like is not None or body.settings is not None:
        return await _register_preset(body, registration)
    if body.kind is None:
        raise BadRequest("give `kind`, or `like` for a preset", "kind")
    if body.kind == "engine" or isinstance(body.engine, EngineOptions):
        return await _register_engine(body, registration)
    fields = _described(body, exclude={"like", "settings"})
    fields["model"] = fields["model"] or (body.name if body.kind != "openai" else "")
    stated = body.context_window is not None
    expert, report = await registration.register(Expert(**fields), context_stated=stated)
    return {"expert": asdict(expert), "probe": asdict(report)}


@routes.patch("/v1/experts/{name}", dependencies=ADMIN)
async def change(name: str, body: ExpertChanges, registry: RegistryDep) -> Json:
    """Change an expert; this applies from the next request on."""
    given = body.model_dump(exclude_unset=True)
    changes = {n: value for n, value in given.items() if value is not None or n in FORGETTABLE}
    if changes.keys() & {"capabilities", "labels", "context_window"}:
        before = await registry.get(name)
        refuse_its_bases(before, changes)
        changes = revised(before, changes)
    return asdict(await registry.update(name, **changes))


@routes.post("/v1/experts/{name}/probe", dependencies=ADMIN)
async def probe(name: str, registration: RegistrationDep) -> Json:
    """Detect an expert's capabilities again; those set by hand are kept."""
    expert, report = await registration.probe_again(name)
    return {"expert": asdict(expert), "probe": asdict(report)}


@routes.delete("/v1/experts/{name}", status_code=204, dependencies=ADMIN)
async def remove(
    name: str, registration: RegistrationDep, catalogue: CatalogueDep, with_presets: bool = False
) -> Response:
    """Remove an expert; its recorded decisions stay. Its presets are only removed on request."""
    await registration.remove(name, with_presets=with_presets)
    await catalogue.now()  # what ran for it alone is ended in the background
    return Response(status_code=204)


def _described(body: NewExpert, exclude: set[str]) -> Json:
    """Return the fields of an expert that operators set."""
    fields: Json = body.model_dump(exclude_none=True, exclude=exclude)
    if "capabilities" in fields:
        fields["capabilities"] = stated({}, fields["capabilities"])
    return fields


async def _register_preset(body: NewExpert, registration: Registration) -> Json:
    given = body.model_fields_set
    if body.like is None or body.settings is None:
        missing = "like" if body.like is None else "with"
        raise BadRequest("a preset needs both `like` and `with`", missing)
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
    fields = _described(body, exclude={"engine", "like", "settings"})
    expert = Expert(**fields | {"model": body.name, "engine": body.name})
    engine = Engine(**dict(body.engine), name=body.name, context=expert.context_window)
    stated = body.context_window is not None
    expert, report = await registration.register_engine(expert, engine, context_stated=stated)
    return {"expert": asdict(expert), "probe": asdict(report)}
