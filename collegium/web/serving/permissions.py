"""The experts and applications that a caller's key allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from collegium.errors import Forbidden, NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.registry.key import Caller

MOST_TOLD = 10


@contextmanager
def naming_rule(caller: Caller) -> Iterator[None]:
    """Add the key's rule to the report on a request that no expert can answer."""
    try:
        yield
    except NoFeasibleExpert as exc:
        rule = rule_of(caller)
        if rule and rule not in str(exc):
            exc.args = (f"{exc} {rule}",)
        raise


def permitted(
    caller: Caller, experts: Sequence[Expert], model: str = "auto", *, asked: str | None = None
) -> tuple[Expert, ...]:
    """Return the experts that a caller may use; raise NoFeasibleExpert if `model` names another.

    The router sees no others, so neither do panels, failover and conversations. `asked` is the
    alias that the caller gave for the model: the error does not tell what it stands for.
    """
    if caller.allowed_experts is None:
        return tuple(experts)
    if any(e.name == model for e in experts) and not caller.permits(model):
        raise NoFeasibleExpert(
            f"The key '{caller.name}' may not use the expert '{asked or model}'. {rule_of(caller)}",
            "model",
        )
    kept = tuple(expert for expert in experts if caller.permits(expert.name))
    if experts and not any(expert.enabled for expert in kept):
        raise NoFeasibleExpert(
            f"No expert is available: none that this key may use is enabled. {rule_of(caller)}",
            "model",
        )
    return kept


def rule_of(caller: Caller) -> str:
    """Describe which experts a caller may use; "" if it may use all."""
    if caller.allowed_experts is None:
        return ""
    names = sorted(caller.allowed_experts)
    told, more = ", ".join(names[:MOST_TOLD]), len(names) - MOST_TOLD
    team = "" if caller.team is None else f" of the team '{caller.team}'"
    and_more = f" and {more} more" if more > 0 else ""
    return f"The key '{caller.name}'{team} may ask only: {told or 'nobody'}{and_more}."


def check_application(caller: Caller, application: str | None) -> None:
    """Raise Forbidden if a caller may not send requests of an application."""
    allowed = caller.allowed_applications
    if allowed is None:
        return
    key = application or ""
    bare = key.removeprefix(f"{caller.owner}:")
    if key in allowed or bare in allowed:
        return
    this = f"this request is of '{bare}'" if bare else "this request is of none"
    raise Forbidden(
        f"The key '{caller.name}' may be used only for the applications "
        f"{', '.join(sorted(allowed)[:MOST_TOLD])}; {this}. Name one of them in the header "
        "x-collegium-application"
    )
