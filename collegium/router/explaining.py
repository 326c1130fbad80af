"""A decision in words, for people."""

from __future__ import annotations

from collections.abc import Sequence

from collegium.router.decision import Forecast, PolicyName, Query
from collegium.router.forecasting import Reading
from collegium.router.policy import cost, quality

NOT_AVAILABLE = "not available now"


def explained(
    query: Query,
    reading: Reading,
    forecasts: Sequence[Forecast],
    chosen: Forecast,
    policy: PolicyName,
) -> str:
    """The decision in words, for people."""
    words = _who_and_why(query, reading, forecasts, chosen, policy)
    return f"{words} {_wait(chosen)}" if chosen.wait_ms else words


def _wait(chosen: Forecast) -> str:
    return f"Its engine is not loaded, and has its turn in about {chosen.wait_ms / 1000:.0f} s."


def _who_and_why(
    query: Query,
    reading: Reading,
    forecasts: Sequence[Forecast],
    chosen: Forecast,
    policy: PolicyName,
) -> str:
    name = chosen.expert
    skill = max(reading.skills, key=lambda s: reading.skills[s])
    chance = "" if chosen.quality is None else f" ({chosen.quality:.0%} likely to be right)"
    if policy == "named":
        return f"You asked for {name}{chance}."
    if policy == "out_of_distribution" and not reading.familiar:
        return f"Unlike anything the experts were measured on, so {name} answers."
    if policy == "out_of_distribution":
        return f"No expert that can be asked now was measured on {skill}, so {name} answers."
    if policy == "session":
        return f"This conversation stays with {name}{chance}: changing would gain too little."
    rivals = [f for f in forecasts if f.expert != name and f.quality is not None]
    versus = f"{name} is {chosen.quality:.0%} likely to be right"
    if rivals:
        versus += _versus(max(rivals, key=quality), chosen)
    return f"This looks like {skill}: {versus}."


def _versus(rival: Forecast, chosen: Forecast) -> str:
    """How the chosen expert compares with the best of the others."""
    chance = f"{rival.expert} ({rival.quality:.0%})"
    if quality(rival) <= quality(chosen):
        return f", ahead of {chance}"
    if rival.feasible and rival.wait_ms > chosen.wait_ms and cost(rival) <= cost(chosen):
        return f"; {chance} is not loaded, and has its turn in about {rival.wait_ms / 1000:.0f} s"
    if rival.feasible:
        dearer = "would be dearer" if rival.cost_usd is not None else "has no known price"
        return f"; {chance} {dearer}"
    if rival.note == NOT_AVAILABLE:
        return f"; {chance} is {NOT_AVAILABLE}"
    return f"; {chance} is outside the limits: {rival.note}"
