"""A parsed request of any protocol, with everything that serving needs to know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import structs

from collegium.errors import BadRequest
from collegium.experts.aggregation.catalogue import mode_kind, usable_modes
from collegium.experts.aggregation.options import Options
from collegium.experts.clients.counting import choices_of, prompt_tokens
from collegium.experts.clients.endpoints import RESULTS
from collegium.experts.clients.events import Began
from collegium.experts.clients.native import Native
from collegium.experts.dispatch.terms import ANY_TIME, Terms
from collegium.experts.presets import TIER
from collegium.registry.key import NOBODY, Caller
from collegium.router.applications.background_jobs import asked_for
from collegium.router.conversation import last_asked, query_text
from collegium.router.decision import Query
from collegium.router.needs import needs_of, wordless
from collegium.router.panels.plan import Wish
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.protocols.chat_request import Aggregate, ChatRequest, panel_models
from collegium.web.protocols.sessions import Conversation, conversation_of
from collegium.web.protocols.signals import signals_of

FIELD = re.compile(r"^\w+")

STEERING = frozenset({
    "api_base", "api_key", "base_url", "custom_llm_provider", "deployment_id", "extra_body",
    "fallbacks", "mock_response", "model_list", "models", "route", "user_config",
})  # fmt: skip
"""Fields by which gateways such as LiteLLM's proxy and OpenRouter are told another model or
address: a caller could bypass its key's limits and the price that its budget counts. An operator
may set them in a preset.
"""


@dataclass(frozen=True)
class Prepared:
    """One request, ready to be decided."""

    query: Query
    body: dict[str, Any]
    """The body that experts are sent."""
    terms: Terms = ANY_TIME
    wish: Wish | None = None
    """The requested panel; None if one expert answers."""
    stream: bool = False
    failover: bool | None = None
    """Whether another expert may answer; None means: if the router chose the first one."""
    session: str | None = None
    """The conversation that it belongs to, as the caller names it."""
    conversation: Conversation | None = None
    """The key of the conversation; None if it is not remembered."""
    caller: Caller = NOBODY
    """The caller, which determines the experts that may answer."""
    native: Native | None = None
    """The original request, if it came through another protocol or endpoint."""
    chat: ChatRequest | None = None
    """The request as it was parsed."""
    in_dollars: bool = False
    """Whether a bulk job's limit in dollars binds it, beside its own and those of its owner."""
    left_out: tuple[str, ...] = ()
    """Fields of the caller's request that are not passed on, because no expert supports them."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers sent to experts."""
    cache: bool | None = None
    """Whether the response cache may be used; None: if the same request has one answer."""
    cache_control: str | None = None
    """The request's header of that name."""

    @property
    def owner(self) -> str:
        """The owner: a key's name; "" for the operator and if no keys are configured."""
        return self.caller.owner

    @property
    def team(self) -> str:
        """The team of the key; "" if it has none."""
        return self.caller.team or ""

    @property
    def is_conversation(self) -> bool:
        """Whether it is answered with text; only then may its own be kept, to learn from."""
        return self.native is None or self.native.protocol not in RESULTS

    def told(self, began: Began) -> Began:
        """A reply's beginning, with what became of the request in the caller's own words."""
        left_out = () if began.hosted else self.left_out
        if not (left_out or began.adjusted or began.dropped):  # nearly always
            return began
        names = {} if self.chat is None else self.chat.spelling()
        adjusted = tuple(FIELD.sub(lambda m: names.get(m[0], m[0]), t) for t in began.adjusted)
        dropped = (*(names.get(name, name) for name in began.dropped), *left_out)
        return structs.replace(began, adjusted=adjusted, dropped=dropped)


def prepare(
    body: ChatRequest,
    terms: Terms,
    session: str | None = None,
    *,
    application: str | None = None,
    caller: Caller = NOBODY,
    remembered: bool = False,
) -> Prepared:
    """Check and complete a parsed request; raise BadRequest if it is inconsistent.

    `application` is the name that a header gave; the one in the body comes after it. Where the
    conversation is `remembered` and has no name, its beginning stands for it.
    """
    asked = body.upstream()
    messages = asked["messages"]
    silent = wordless(messages)
    text = silent or query_text(messages).strip()
    if not text:
        raise BadRequest(
            "The messages contain nothing to answer: no text, image, audio or file", "messages"
        )
    max_tokens = body.max_completion_tokens or body.max_tokens
    mode = mode_of(body)
    tag = application or body.application()
    signals = signals_of(asked, last_asked(messages), tag=tag, tenant=caller.owner)
    if signals.background is not None:  # what it quotes is not what it asks
        text = asked_for(signals.background) or text
    native = body.native()
    _refuse_steering({**asked, **({} if native is None else native.body)})
    tokens = None if native is None else native.prompt_tokens
    return Prepared(
        Query(
            text,
            body.model,
            body.routing.limits(),
            max_tokens,
            prompt_tokens(asked) if tokens is None else tokens,
            choices=choices_of(asked),
            service_tier=tier if isinstance(tier := asked.get(TIER), str) else None,
            signals=signals,
            needs=needs_of(asked),
            wordless=silent is not None,
        ),
        asked,
        terms,
        None if mode is None else wish_of(body, mode),
        stream=body.stream,
        failover=body.routing.failover,
        session=session,
        conversation=conversation_of(
            messages,
            session,
            background=signals.background is not None,
            caller=terms.caller if remembered else None,
        ),
        caller=caller,
        native=native,
        chat=body,
        left_out=body.left_out(),
        cache=body.routing.cache,
    )


def _refuse_steering(body: Mapping[str, Any]) -> None:
    """Refuse fields by which a caller could choose the model or address at an upstream gateway."""
    found = [name for name in STEERING.intersection(body) if body[name] is not None]
    if found:
        name = min(found)
        raise BadRequest(
            f"{name} would let an upstream choose who answers: leave it out; `model` and "
            "`routing.experts_allow` say who may",
            name,
        )


def renamed(request: Prepared, model: str) -> Prepared:
    """The request for another model, whose name may ask for a panel."""
    query = replace(request.query, requested_model=model)
    if request.chat is None or model not in panel_models():
        return replace(request, query=query)
    chat = request.chat.model_copy(update={"model": model})
    mode = mode_of(chat)
    wish = None if mode is None else wish_of(chat, mode)
    return replace(request, query=query, wish=wish, chat=chat)


def mode_of(body: ChatRequest) -> Aggregate | None:
    """Return the panel mode that a request asks for; None for a single expert."""
    routing, by_name = body.routing, panel_models().get(body.model)
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
        raise BadRequest("a panel returns one answer: n must be 1", "n")
    if mode == "auto":
        return
    if mode_kind(mode).combines and body.is_structured():
        kept = ", ".join(name for name, kind in usable_modes().items() if not kind.combines)
        raise BadRequest(
            f"'{mode}' writes a new text, which tools and response_format don't survive; "
            f"modes that keep them: {kept}",
            "routing.aggregate",
        )
    if (body.routing.k or 2) < 2:
        raise BadRequest(f"'{mode}' needs routing.k of at least 2", "routing.k")
    named = body.model not in VIRTUAL_MODELS and body.model not in panel_models()
    if named and not (mode_kind(mode).one_expert or body.routing.panel.samples):
        raise BadRequest(
            f"'{mode}' asks several experts and '{body.model}' is one: ask for model 'auto', or "
            "for samples of it with routing.panel.samples",
            "model",
        )
