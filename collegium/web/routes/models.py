"""GET /v1/models: what may be asked for by name."""

from __future__ import annotations

from fastapi import APIRouter

from collegium.experts.aggregation.catalogue import MODES
from collegium.experts.clients.events import Json
from collegium.registry.expert import Expert
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.parts_of import CatalogueDep
from collegium.web.protocols.chat_request import PANEL_MODELS

routes = APIRouter()
CREATED = 1_760_000_000  # OpenAI's shape wants a time; experts are not dated


@routes.get("/v1/models")
async def models(catalogue: CatalogueDep) -> Json:
    """Virtual models first, then the enabled experts."""
    virtual = [
        _model(
            name,
            {"virtual": True, "description": model.description, "most_loss": model.most_loss},
        )
        for name, model in VIRTUAL_MODELS.items()
    ]
    virtual += [
        _model(name, {"virtual": True, "description": MODES[mode].text, "aggregate": mode})
        for name, mode in PANEL_MODELS.items()
    ]
    experts = [_model(e.name, _details(e)) for e in await catalogue.now() if e.enabled]
    return {"object": "list", "data": virtual + experts}


def _model(name: str, details: Json) -> Json:
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": "collegium",
        "collegium": details,
    }


def _details(expert: Expert) -> Json:
    shown = ("kind", "description", "input_price", "output_price", "context_window", "tags")
    details = {field: getattr(expert, field) for field in shown}
    return {
        "virtual": False,
        **details,
        "skills": dict(expert.skills),
        "enabled": expert.enabled,
        "generalist": expert.generalist,
    }
