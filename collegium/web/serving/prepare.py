"""A parsed request, whichever protocol it came by: what serving needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from collegium.errors import BadRequest
from collegium.experts.aggregation.catalogue import MODES
from collegium.experts.aggregation.options import Options
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.dispatch.terms import ANY_TIME, Terms
from collegium.router.conversation import query_text
from collegium.router.decision import Query
from collegium.router.panels.plan import Wish
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.protocols.chat_request import PANEL_MODELS, Aggregate, ChatRequest
from collegium.web.protocols.signals import signals_of


@dataclass(frozen=True)
class Prepared:
    """One request, ready to be decided."""

    query: Query
    body: dict[str, Any]
    """What an expert is sent."""
    terms: Terms = ANY_TIME
    wish: Wish | None = None
    """What is wanted of a panel; None where one expert answers."""
    stream: bool = False
    failover: bool | None = None
    """Whether another expert may answer; None: where the router chose the first one."""
    session: str | None = None
    """The conversation that it belongs to."""
    owner: str = ""
    """Whose it is: a key's name, "" for the operator and where no keys are set."""


def prepare(
    body: ChatRequest,
    terms: Terms,
    session: str | None = None,
    *,
    application: str | None = None,
    tenant: str = "",
) -> Prepared:
    """Check what a parsed body does not show by itself; BadRequest says what is wrong.

    `application` is the name that a header gave; the one in the body comes after it.
    """
    asked = body.upstream()
    messages = asked["messages"]
    text = query_text(messages).strip()
    if not text:
        raise BadRequest("The messages hold no text to answer", "messages")
    max_tokens = body.max_completion_tokens or body.max_tokens
    mode = mode_of(body)
    tag = application or body.application()
    signals = signals_of(asked, text, tag=tag, tenant=tenant)
    return Prepared(
        Query(
            text,
            body.model,
            body.routing.limits(),
            max_tokens,
            prompt_tokens(asked),
            choices=body.n or 1,
            signals=signals,
        ),
        asked,
        terms,
        None if mode is None else wish_of(body, mode),
        stream=body.stream,
        failover=body.routing.failover,
        session=session,
        owner=tenant,
    )


def mode_of(body: ChatRequest) -> Aggregate | None:
    """The mode that a request asks for; None where one expert answers alone."""
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


def wish_of(body: ChatRequest, mode: Aggregate) -> Wish:
    """The request's wishes as the planner takes them."""
    panel = body.routing.panel
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
        verbatim=body.is_structured(),
        options=Options(
            weights=panel.weights,
            by=panel.by,
            threshold=panel.threshold,
            layers=panel.layers,
            window=panel.window,
        ),
    )


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
    if MODES[mode].combines and body.is_structured():
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
