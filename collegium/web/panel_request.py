"""What a caller may say about a panel, and what that asks of the planner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from collegium.errors import BadRequest
from collegium.experts.aggregation.base import Similarity
from collegium.experts.aggregation.cascade import THRESHOLD
from collegium.experts.aggregation.catalogue import MODES, ModeName, Options, ScorerName
from collegium.experts.aggregation.grouping import Weighting
from collegium.experts.aggregation.self_moa import WINDOW
from collegium.router.panels.planning import Wish
from collegium.router.panels.profiles import Profiles
from collegium.router.router import VIRTUAL_MODELS

if TYPE_CHECKING:
    from collegium.web.schemas import ChatRequest

PREFIX = "collegium/"
PANEL_MODELS: dict[str, ModeName] = {f"{PREFIX}{mode}": mode for mode in MODES if mode != "single"}
"""Virtual models that are answered by a panel."""
Aggregate = ModeName | Literal["auto"]
MOST_MEMBERS = 16


class PanelOptions(BaseModel):
    """The field `routing.panel`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    quorum: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] | None = None
    aggregator: str | None = None
    samples: bool = False
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    member_timeout_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_calls: Annotated[int, Field(ge=1)] | None = None
    max_total_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    weights: Weighting = "log_odds"
    by: ScorerName = "logprob"
    threshold: Annotated[float, Field(ge=0, le=1)] = THRESHOLD
    layers: Annotated[int, Field(ge=1, le=4)] = 1
    window: Annotated[int, Field(ge=2, le=MOST_MEMBERS)] = WINDOW
    show_members: bool = False
    """Stream what members say, and give their answers in the body."""


def mode_of(body: ChatRequest) -> Aggregate | None:
    """The mode that a request asks for; None where one expert answers as ever."""
    routing, by_name = body.routing, PANEL_MODELS.get(body.model)
    given = "aggregate" in routing.model_fields_set
    if by_name is not None and given and routing.aggregate != by_name:
        raise BadRequest(
            f"model '{body.model}' and routing.aggregate '{routing.aggregate}' disagree; "
            "leave one out",
            "routing.aggregate",
        )
    mode: Aggregate = by_name or routing.aggregate
    if mode == "single":
        _refuse_members(body)
        return None
    _check(body, mode)
    return mode


def wish_of(body: ChatRequest, mode: Aggregate, similarity: Similarity, profiles: Profiles) -> Wish:
    """The request's wishes as the planner takes them."""
    panel = body.routing.panel
    options = Options(
        weights=panel.weights,
        by=panel.by,
        threshold=panel.threshold,
        layers=panel.layers,
        window=panel.window,
        similarity=similarity,
        confidence=profiles.confidence,
    )
    return Wish(
        mode=mode,
        k=body.routing.k,
        quorum=panel.quorum,
        aggregator=panel.aggregator,
        samples=panel.samples,
        temperature=panel.temperature,
        member_timeout_ms=panel.member_timeout_ms,
        max_calls=panel.max_calls,
        max_total_tokens=panel.max_total_tokens,
        seed=panel.seed,
        verbatim=is_structured(body),
        options=options,
    )


def is_structured(body: ChatRequest) -> bool:
    """Whether the answer has to keep to tools or a schema."""
    kind = (body.response_format or {}).get("type", "text")
    return bool(body.tools) or kind != "text"


def _refuse_members(body: ChatRequest) -> None:
    if (body.routing.k or 1) > 1:
        raise BadRequest(
            "routing.k above 1 needs routing.aggregate, or a model such as collegium/vote",
            "routing.k",
        )
    if "panel" in body.routing.model_fields_set:
        raise BadRequest(
            "routing.panel needs routing.aggregate, or a model such as collegium/vote",
            "routing.panel",
        )


def _check(body: ChatRequest, mode: Aggregate) -> None:
    if (body.n or 1) > 1:
        raise BadRequest("a panel gives one answer: leave n at 1", "n")
    if mode == "auto":
        return
    if MODES[mode].combines and is_structured(body):
        raise BadRequest(
            f"'{mode}' writes a new text, which tools and response_format don't survive; "
            f"modes that keep them: {', '.join(m for m in MODES if not MODES[m].combines)}",
            "routing.aggregate",
        )
    if (body.routing.k or 2) < 2:
        raise BadRequest(f"'{mode}' needs routing.k of at least 2", "routing.k")
    named = body.model not in VIRTUAL_MODELS and body.model not in PANEL_MODELS
    if named and not (MODES[mode].one_expert or body.routing.panel.samples):
        raise BadRequest(
            f"'{mode}' asks several experts and '{body.model}' is one: ask for model 'auto', or "
            "for samples of it with routing.panel.samples",
            "model",
        )
