"""The models that are routed: what each promises, and whom a request for one may reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """What is given up between two forecasts where too few marks show what that costs."""
    cheapest_first: bool = False
    """Whether, of experts of whom nothing was measured, the cheapest answers, not the best."""


BEST = VirtualModel(0.0, "The router chooses the expert most likely to be right")
VIRTUAL_MODELS: Mapping[str, VirtualModel] = MappingProxyType(
    {
        "auto": BEST,
        "collegium/auto": VirtualModel(0.0, "The same as auto"),
        "collegium/best": VirtualModel(0.0, "The best expert, whatever it costs"),
        "collegium/balanced": VirtualModel(
            0.01, "As cheap as possible at most one point of quality below the best single expert"
        ),
        "collegium/cheap": VirtualModel(
            0.05,
            "As cheap as possible at most five points of quality below the best single expert",
            unmeasured=0.05,
            cheapest_first=True,
        ),
    }
)


def check_model(query: Query, experts: Sequence[Expert]) -> None:
    """Raise UnknownModel where the requested model is neither routed nor an enabled expert."""
    name = query.requested_model
    if name in VIRTUAL_MODELS:
        return
    known = {e.name: e for e in experts}
    if name not in known:
        names = ", ".join([*VIRTUAL_MODELS, *sorted(e.name for e in experts if e.enabled)])
        raise UnknownModel(f"There is no model '{name}'. There are: {names}", "model")
    if not known[name].enabled:
        raise UnknownModel(f"The expert '{name}' is disabled", "model")


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
        raise NoFeasibleExpert(f"No expert can be asked: {why}", "routing")
    return _roomy(_registered(kept, enabled if allow is None else kept), query)


def _registered(kept: Sequence[Expert], pool: Sequence[Expert]) -> Sequence[Expert]:
    """Those that are kept, without demonstrations where the pool has somebody's own model."""
    if not any(map(is_demonstration, kept)) or all(e.embedded for e in pool):
        return kept
    own = [e for e in kept if not is_demonstration(e)]
    if not own:
        raise NoFeasibleExpert(
            "No expert can be asked: routing.experts_deny leaves only demonstration experts, which "
            "answer where they are named",
            "routing",
        )
    return own


def _roomy(experts: Sequence[Expert], query: Query) -> tuple[Expert, ...]:
    """Those whose context takes the prompt; all where it fits nobody: the expert counts exactly."""
    fitting = [e for e in experts if e.context_window > (query.prompt_tokens or 0)]
    return tuple(fitting or experts)


def _check_names(limits: Limits, experts: Sequence[Expert]) -> None:
    named = {*(limits.experts_allow or ()), *limits.experts_deny}
    known = {e.name for e in experts} if named else set()
    if unknown := named - known:
        names = ", ".join(sorted(known))
        raise BadRequest(
            f"routing names experts that are not registered: {', '.join(sorted(unknown))}. "
            f"There are: {names}",
            "routing",
        )
