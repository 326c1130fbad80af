"""Choose the expert of a routed query, by measurements or, on the first day, by priors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from msgspec import structs

from collegium.registry.expert import Expert
from collegium.router.decision import Forecast, PolicyName, Query
from collegium.router.forecasting import Reading
from collegium.router.policy import choose, keeps
from collegium.router.priors import cheapest, day_one_rank
from collegium.router.stuck import believed
from collegium.router.virtual_models import VirtualModel

SPECIALIST_LOSS = 0.5
"""P(correct) that a specialist is expected to lose on what nobody was measured on, where an expert
is registered as a generalist: its overall rate is that of its speciality."""


@dataclass(frozen=True)
class Choice:
    """The chosen expert's forecast, None if there is none, and the candidates."""

    forecast: Forecast | None
    policy: PolicyName
    forecasts: tuple[Forecast, ...] = ()
    incumbent: bool = False
    """Whether the best single expert answers, whatever is forecast."""


@dataclass(frozen=True)
class Terms:
    """The trade-off of a request, and the virtual model that it belongs to.

    Where a loss is promised against the best single expert, that one (`incumbent`) has a `lead` of
    so much P(correct): without end where the marks do not support the promise. Nobody answers who
    is forecast to be more than `most` below the best.
    """

    tolerated: float
    model: VirtualModel
    incumbent: str | None = None
    lead: float = 0.0
    most: float = 1.0
    below: float = inf
    """How far below the incumbent's the chosen expert's forecast may be."""

    @property
    def settled(self) -> bool:
        """Whether the incumbent answers, whatever is forecast."""
        return self.lead == inf


def chosen_among(
    experts: Sequence[Expert],
    query: Query,
    forecasts: tuple[Forecast, ...],
    terms: Terms,
) -> Choice:
    """The choice among forecasts that are marked as feasible or not."""
    previous = next((f for f in forecasts if f.expert == query.session_expert), None)
    if previous is not None and query.history.stuck(previous.expert):
        previous = None  # it is stuck: what it has cached is worth nothing
    if previous is not None and previous.feasible and query.history.in_tool_loop:
        return Choice(previous, "session", forecasts)
    incumbent = _incumbent(forecasts, terms.incumbent) if terms.settled else None
    best = incumbent or choose(
        forecasts,
        tolerated=terms.tolerated,
        price=query.price,
        ahead=(terms.incumbent, terms.lead),
        most=terms.most,
        below=terms.below,
    )
    if best is None:
        return Choice(_by_prior(experts, query, forecasts, terms.model), "prior", forecasts)
    if previous is not None and previous != best and keeps(previous, best, query.price):
        return Choice(previous, "session", forecasts)
    return Choice(best, "quality", forecasts, incumbent is not None)


def _incumbent(forecasts: tuple[Forecast, ...], name: str | None) -> Forecast | None:
    if name is None:
        return None
    return next((f for f in forecasts if f.expert == name and f.feasible), None)


def doubted(
    experts: Sequence[Expert], forecasts: tuple[Forecast, ...], reading: Reading
) -> tuple[Forecast, ...]:
    """Expect less of specialists, the less the marks say of the query."""
    doubt = doubt_of(reading)
    if not doubt or not any(expert.generalist for expert in experts):
        return forecasts
    generalists = {expert.name for expert in experts if expert.generalist}
    return tuple(
        f
        if f.quality is None or f.expert in generalists
        else structs.replace(f, quality=max(f.quality - doubt, 0.0))
        for f in forecasts
    )


def lowered(query: Query, forecasts: tuple[Forecast, ...]) -> tuple[Forecast, ...]:
    """Expect less of experts of which an alarm is open, or that are stuck in the conversation."""
    signs = query.history.signs
    if signs:
        forecasts = tuple(
            structs.replace(f, quality=believed(f.quality, signs[f.expert]))
            if f.expert in signs and f.quality is not None
            else f
            for f in forecasts
        )
    if not query.lowered:
        return forecasts
    return tuple(_lowered(f, query.lowered.get(f.expert, 0.0)) for f in forecasts)


def _lowered(forecast: Forecast, points: float) -> Forecast:
    if not points or forecast.quality is None:
        return forecast
    quality = max(forecast.quality - points, 0.0)
    return structs.replace(forecast, quality=quality, lowered=forecast.quality - quality)


def doubt_of(reading: Reading) -> float:
    """The P(correct) that a specialist beside generalists is expected to lose on a query."""
    return SPECIALIST_LOSS * (1.0 - reading.evidence)


def _by_prior(
    experts: Sequence[Expert],
    query: Query,
    forecasts: Sequence[Forecast],
    model: VirtualModel,
) -> Forecast | None:
    """The best expert by what is known without marks, or the cheapest; generalists first, and
    those that are stuck in the conversation last.
    """
    feasible = {f.expert: f for f in forecasts if f.feasible}
    able = [e for e in experts if e.name in feasible]
    able = [e for e in able if not query.history.stuck(e.name)] or able
    able = [e for e in able if e.generalist] or able
    order = cheapest(able) if model.cheapest_first else day_one_rank(able)
    return feasible[order[0].name] if order else None
