"""The virtual models: the promise of each, and the experts that a request for one may reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from collegium.errors import BadRequest, NoFeasibleExpert, UnknownModel
from collegium.registry.expert import Expert
from collegium.router.decision import Limits, Query
from collegium.router.priors import is_demonstration


@dataclass(frozen=True)
class VirtualModel:
    """A name that is routed. `most_loss` is the P(correct) that it may give up for money, on
    average and against the best single expert; 0 gives up nothing.
    """

    most_loss: float
    description: str
    unmeasured: float = 0.0
    """The tolerance where too few marks show what it costs."""
    cheapest_first: bool = False
    """Whether, of experts of whom nothing was measured, the cheapest answers, not the best."""


CHEAP = "collegium/cheap"
AUTO = ("auto", "collegium/auto")
BACKGROUND_TRADEOFF = 5.0
"""The trade-off of background jobs: a title need not be the best possible one."""
BEST = VirtualModel(0.0, "The router chooses the expert most likely to be right")
VIRTUAL_MODELS: Mapping[str, VirtualModel] = MappingProxyType(
    {
        "auto": BEST,
        "collegium/auto": VirtualModel(0.0, "The same as auto"),
        "collegium/best": VirtualModel(0.0, "The best expert, whatever it costs"),
        "collegium/balanced": VirtualModel(
            0.01, "As cheap as possible at most one point of quality below the best single expert"
        ),
        CHEAP: VirtualModel(
            0.05,
            "As cheap as possible at most five points of quality below the best single expert",
            unmeasured=0.05,
            cheapest_first=True,
        ),
    }
)


def check_model(query: Query, experts: Sequence[Expert]) -> None:
    """Raise UnknownModel if the requested model is neither virtual nor an enabled expert."""
    name = query.requested_model
    if name in VIRTUAL_MODELS:
        return
    known = {e.name: e for e in experts}
    if name not in known:
        names = ", ".join([*VIRTUAL_MODELS, *sorted(e.name for e in experts if e.enabled)])
        raise UnknownModel(
            f"There is no model '{name}'. Available: {names}. The operator can let another name "
            "stand for one of them with the setting model_aliases",
            "model",
        )
    if not known[name].enabled:
        raise UnknownModel(f"The expert '{name}' is disabled", "model")


def in_background(query: Query) -> bool:
    """Whether a query is a chat front end's or an agent's background job, of no model by name."""
    return query.signals.background is not None and query.requested_model in AUTO


def unobtrusive(query: Query) -> Query:
    """Apply the trade-off of background jobs to a query, unless the caller set one."""
    if not in_background(query) or query.limits.tradeoff is not None:
        return query
    return replace(query, limits=replace(query.limits, tradeoff=BACKGROUND_TRADEOFF))


def eligible(experts: Sequence[Expert], query: Query) -> tuple[Expert, ...]:
    """The experts that may be asked: enabled, and as the request allows and denies.

    The demonstration experts that ship with the service answer a routed request only where nobody
    registered a model.
    """
    limits, enabled = query.limits, [e for e in experts if e.enabled]
    _check_names(limits, experts)
    if query.requested_model not in VIRTUAL_MODELS:
        return tuple(enabled)
    allow = limits.experts_allow
    kept = enabled if allow is None else [e for e in enabled if e.name in allow]
    if limits.experts_deny:
        kept = [e for e in kept if e.name not in limits.experts_deny]
    if not kept:
        why = "routing.experts_allow and experts_deny leave none" if enabled else "none is enabled"
        raise NoFeasibleExpert(f"No expert is eligible: {why}", "routing")
    return tuple(_registered(kept, enabled if allow is None else kept))


def _registered(kept: Sequence[Expert], pool: Sequence[Expert]) -> Sequence[Expert]:
    """Drop demonstration experts if the pool has registered ones."""
    if not any(map(is_demonstration, kept)) or all(e.embedded for e in pool):
        return kept
    own = [e for e in kept if not is_demonstration(e)]
    if not own:
        raise NoFeasibleExpert(
            "No expert is eligible: routing.experts_deny leaves only demonstration experts, which "
            "answer only when named",
            "routing",
        )
    return own


def _check_names(limits: Limits, experts: Sequence[Expert]) -> None:
    named = {*(limits.experts_allow or ()), *limits.experts_deny}
    known = {e.name for e in experts} if named else set()
    if unknown := named - known:
        names = ", ".join(sorted(known))
        raise BadRequest(
            f"routing names experts that are not registered: {', '.join(sorted(unknown))}. "
            f"Available: {names}",
            "routing",
        )
