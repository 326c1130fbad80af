"""GET /v1/models: the models that requests may name, all or a single one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header

from collegium.experts.aggregation.catalogue import usable_modes
from collegium.experts.clients.events import Json
from collegium.registry.capabilities import shown, takes
from collegium.registry.expert import Expert
from collegium.router.decision import Query
from collegium.router.virtual_models import VIRTUAL_MODELS, check_model
from collegium.web.auth import CallerDep
from collegium.web.parts_of import CatalogueDep, SettingsDep
from collegium.web.protocols.chat_request import panel_models
from collegium.web.serving.aliases import Aliases
from collegium.web.serving.permissions import permitted

routes = APIRouter()
CREATED = 1_760_000_000  # OpenAI's shape wants a time; experts are not dated
BESIDE_TEXT = {"images": "image", "audio": "audio", "video": "video", "files": "file"}
"""Abilities, and what the modality is called that an expert then takes."""
Version = Annotated[str | None, Header(alias="anthropic-version", max_length=64)]


@routes.get("/v1/models")
async def models(catalogue: CatalogueDep, caller: CallerDep, version: Version = None) -> Json:
    """Virtual models first, then the enabled experts that the key may ask.

    Anthropic's clients get them in their own shape, all on one page.
    """
    listed = _all([e for e in await catalogue.now() if caller.permits(e.name)])
    if version is None:
        return {"object": "list", "data": listed}
    data = [_of_anthropic(model) for model in listed]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return {"data": data, "has_more": False, **ends}


@routes.get("/v1/models/{model:path}")
async def model(
    model: str,
    catalogue: CatalogueDep,
    settings: SettingsDep,
    caller: CallerDep,
    version: Version = None,
) -> Json:
    """Return one model, or the target of an alias; names may contain slashes."""
    experts = await catalogue.now()
    meant = Aliases(settings.model_aliases).resolve(model, experts)
    experts = permitted(caller, experts, meant, asked=model)
    found = next(({**each, "id": model} for each in _all(experts) if each["id"] == meant), None)
    if found is None:
        check_model(Query("", model), experts)  # raises with the names that there are
        raise AssertionError("an enabled expert is not listed")
    return found if version is None else _of_anthropic(found)


def _all(experts: Sequence[Expert]) -> list[Json]:
    enabled = [expert for expert in experts if expert.enabled]
    longest = max((expert.context_window for expert in enabled), default=None)
    virtual: dict[str, Json] = {
        name: {"description": each.description, "most_loss": each.most_loss}
        for name, each in VIRTUAL_MODELS.items()
    }
    modes = usable_modes()
    for name, mode in panel_models().items():
        if mode in modes:
            virtual[name] = {"description": modes[mode].text, "aggregate": mode}
    routed = [_model(name, longest, {"virtual": True, **v}) for name, v in virtual.items()]
    names = {expert.name for expert in experts}
    return routed + [_of_expert(expert, names) for expert in enabled]


def _of_expert(expert: Expert, names: Collection[str]) -> Json:
    """One expert; a preset's base is shown only to those who may ask it, too."""
    base = expert.origin if expert.preset is not None and expert.origin in names else None
    taken = [name for ability, name in BESIDE_TEXT.items() if takes(expert, ability)]
    given = ["audio"] if takes(expert, "audio_output") else []
    return {
        **_model(expert.name, expert.context_window, _details(expert), base),
        "modalities": {"input": ["text", *taken], "output": ["text", *given]},
        "capabilities": shown(expert),
    }


def _of_anthropic(model: Json) -> Json:
    """A model as Anthropic's list has it."""
    return {
        "type": "model",
        "id": model["id"],
        "display_name": model["id"],
        "created_at": datetime.fromtimestamp(model["created"], UTC).isoformat(),
        "lifecycle": "active",
        "max_input_tokens": model["max_model_len"],
        "collegium": model["collegium"],
    }


def _model(name: str, longest: int | None, details: Json, base: str | None = None) -> Json:
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": "collegium",
        "root": base or name,
        "parent": base,
        "max_model_len": longest,
        "collegium": details,
    }


def _details(expert: Expert) -> Json:
    told = ("kind", "description", "input_price", "output_price", "context_window", "tags")
    details = {field: getattr(expert, field) for field in told}
    details["prices"] = dict(expert.prices)
    return {
        "virtual": False,
        **details,
        "skills": dict(expert.skills),
        "capabilities": shown(expert),
        "labels": dict(expert.labels),
        "enabled": expert.enabled,
        "generalist": expert.generalist,
    }
