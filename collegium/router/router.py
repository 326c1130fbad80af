"""The router: from a query and the registered experts to a decision."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from msgspec import structs

from collegium.errors import (
    ArtifactRejected,
    BadRequest,
    ExpertUnavailable,
    NoFeasibleExpert,
    UnknownModel,
)
from collegium.registry.expert import AGGREGATION, Expert
from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Forecast, Limits, PolicyName, Query
from collegium.router.explaining import NOT_AVAILABLE, explained
from collegium.router.forecasting import Forecaster, Reading, Waits
from collegium.router.limits import infeasible, mark, too_busy
from collegium.router.policy import Tolerances, choose, keeps, quality, ranked, sooner
from collegium.router.reading import Reader
from collegium.router.shortlist import SIZE, Shortlist
from collegium.router.tokens import Tokens
from collegium.router.vectors import Encoder

if TYPE_CHECKING:
    from collegium.router.online.learner import Learner

Availability = Callable[[Expert], ExpertUnavailable | None]

VIRTUAL_MODELS: dict[str, tuple[float, str]] = {
    "auto": (0.0, "The router chooses the expert most likely to be right"),
    "collegium/auto": (0.0, "The same as auto"),
    "collegium/best": (0.0, "The best expert, whatever it costs"),
    "collegium/balanced": (5.0, "A cheaper expert where it is nearly as good"),
    "collegium/cheap": (10.0, "The cheapest expert that is known to answer such queries"),
}
"""Names that are routed, with their trade-off (0 best quality … 10 cheapest) and what they do."""


class Router:
    """Decides: reads the query, forecasts the experts, chooses within the limits."""

    def __init__(
        self,
        encoder: Encoder,
        fitted: FittedRouter,
        speeds: Speeds,
        *,
        shortlist: int = SIZE,
        learner: Learner | None = None,
        wait_penalty: float = 0.0,
        tokens: Tokens | None = None,
    ) -> None:
        if fitted.encoder != encoder.name:
            raise ArtifactRejected(
                f"the router was fitted on '{fitted.encoder}' embeddings, not '{encoder.name}' "
                "ones; choose another encoder or router_dir, or train a router with this encoder"
            )
        self._learner = learner
        self._wait_penalty = wait_penalty
        self._forecaster = Forecaster(fitted, speeds, tokens)
        self._reader = Reader(encoder, self._forecaster)
        self._tolerances = Tolerances.of(fitted.card)
        skills = [str(name) for name in fitted.skills.classes_]
        self._shortlist = Shortlist(skills, _fallback_preference, shortlist)

    async def decide(
        self,
        query: Query,
        experts: Sequence[Expert],
        unavailable: Availability,
        waits: Waits | None = None,
    ) -> Decision:
        """Choose who answers; raises UnknownModel, NoFeasibleExpert, ExpertUnavailable or,
        where only the present load breaks the limits, ExpertBusy.

        `waits` is given where engines take turns.
        """
        started = time.perf_counter()
        query = with_tradeoff(query, experts)
        read = await self._reader.read(query.text)
        decision = self.decide_on(query, experts, read.reading, unavailable, waits)
        # Cheaper experts are a promise of the forecasts: learning keeps to the best quality.
        if self._learner and decision.policy == "quality" and not query.limits.tradeoff:
            decision = self._learner.adjusted(decision, read.embedding)
        took_ms = 1000 * (time.perf_counter() - started)
        return replace(decision, overhead_ms=took_ms, application=query.application)

    def tolerated(self, query: Query) -> float:
        """The quality that the query's trade-off gives up for a lower price."""
        return self._tolerances.at(query.limits.tradeoff or 0.0, query.text)

    def _penalty(self, query: Query) -> float:
        """The P(correct) that a minute's wait is worth: the request's word before the service's."""
        asked = query.limits.wait_penalty
        return self._wait_penalty if asked is None else asked

    async def read(self, text: str) -> Reading:
        """Embed a text and read its skills and strangeness."""
        return (await self._reader.read(text)).reading

    def similarity(self, texts: Sequence[str]) -> list[list[float]]:
        """Cosine similarities of texts, shape (n, n); waits for its turn at the encoder."""
        return self._reader.similarity(texts)

    async def at_rest(
        self, decision: Decision, query: Query, experts: Sequence[Expert], waits: Waits | None
    ) -> Decision:
        """The decision with the forecasts of experts that have nothing else to do.

        Of engines that take turns the wait stays as it is: there may be no room for all of them.
        """
        reading = await self.read(query.text)
        up = {f.expert for f in decision.forecasts if f.note != NOT_AVAILABLE}
        asked = [e for e in experts if e.name in up]
        idle = self._forecaster.forecast(asked, query, reading, waits, idle=True)
        return replace(decision, forecasts=ranked(mark(idle, query.limits)))

    def decide_on(
        self,
        query: Query,
        experts: Sequence[Expert],
        reading: Reading,
        unavailable: Availability,
        waits: Waits | None = None,
    ) -> Decision:
        """The decision proper: no input or output, the same for the same arguments."""
        named = query.requested_model not in VIRTUAL_MODELS
        candidates: Sequence[Expert] = allowed(experts, query)
        tolerated = self.tolerated(query)
        penalty = self._penalty(query) if waits is not None else 0.0
        if not named and not penalty:  # else who is loaded may be anybody of the pool
            candidates = self._shortlist.of(candidates, query, reading, unavailable, tolerated)
        found = self._forecaster.forecast(candidates, query, reading, waits)
        forecasts = mark(found, query.limits)
        fitting = {f.expert for f in forecasts if f.feasible}
        down = {e.name: error for e in candidates if (error := unavailable(e)) is not None}
        if down:
            forecasts = tuple(
                structs.replace(f, feasible=False, note=NOT_AVAILABLE) if f.expert in down else f
                for f in forecasts
            )
        chosen: Forecast | None
        policy: PolicyName
        if named:
            chosen, policy = _named(query, forecasts, down), "named"
            candidates = [e for e in candidates if e.name == query.requested_model]
        else:
            chosen, policy = _chosen(query, candidates, reading, forecasts, tolerated)
            if chosen is not None and penalty and policy != "out_of_distribution":
                best = max(quality(f) for f in forecasts if f.feasible)
                taken = sooner(forecasts, chosen, penalty, best - self._tolerances.most)
                chosen, policy = taken, policy if taken is chosen else "waiting"
        if chosen is not None and chosen.feasible:
            return _decision(query, reading, forecasts, chosen, policy)
        # Worth another try where one that fits is only down or busy.
        waiting = (error for name, error in down.items() if name in fitting)
        up = [e for e in candidates if e.name not in down]
        idle = mark(self._forecaster.forecast(up, query, reading, idle=True), query.limits)
        busy = too_busy(idle, forecasts, query.limits)
        raise next(waiting, None) or busy or _refusal(forecasts, query.limits, chosen)


def with_tradeoff(query: Query, experts: Sequence[Expert]) -> Query:
    """Check the requested name and take a virtual model's trade-off where the caller gave none."""
    name = query.requested_model
    if name in VIRTUAL_MODELS:
        if query.limits.tradeoff is not None:
            return query
        return replace(query, limits=replace(query.limits, tradeoff=VIRTUAL_MODELS[name][0]))
    known = {e.name: e for e in experts}
    if name not in known:
        names = ", ".join([*VIRTUAL_MODELS, *sorted(e.name for e in experts if e.enabled)])
        raise UnknownModel(f"There is no model '{name}'. There are: {names}", "model")
    if not known[name].enabled:
        raise UnknownModel(f"The expert '{name}' is disabled", "model")
    return query


def allowed(experts: Sequence[Expert], query: Query) -> tuple[Expert, ...]:
    """The experts that may be asked: enabled, and as the request allows and denies."""
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
    return roomy(kept, query)


def roomy(experts: Sequence[Expert], query: Query) -> tuple[Expert, ...]:
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


def _named(
    query: Query, forecasts: Sequence[Forecast], down: dict[str, ExpertUnavailable]
) -> Forecast:
    name = query.requested_model
    if name in down:
        raise down[name]
    return next(f for f in forecasts if f.expert == name)


def _refusal(
    forecasts: Sequence[Forecast], limits: Limits, named: Forecast | None
) -> NoFeasibleExpert:
    if named is None:
        return infeasible(forecasts, limits)
    words = f"'{named.expert}' does not fit the limits: {named.note}"
    return NoFeasibleExpert(words, "routing")


def _chosen(
    query: Query,
    experts: Sequence[Expert],
    reading: Reading,
    forecasts: Sequence[Forecast],
    tolerated: float,
) -> tuple[Forecast | None, PolicyName]:
    best = choose(forecasts, tolerated=tolerated) if reading.familiar else None
    if best is None:
        return _generalist(experts, forecasts), "out_of_distribution"
    previous = next((f for f in forecasts if f.expert == query.session_expert), None)
    if previous is not None and previous != best and keeps(previous, best):
        return previous, "session"
    return best, "quality"


def _generalist(experts: Sequence[Expert], forecasts: Sequence[Forecast]) -> Forecast | None:
    """The feasible generalist with the highest mean level; without generalists, such an expert."""
    feasible = {f.expert: f for f in forecasts if f.feasible}
    able = [e for e in experts if e.name in feasible]
    able = [e for e in able if e.generalist] or able
    if not able:
        return None
    return feasible[max(able, key=_preference).name]


def _preference(expert: Expert) -> tuple[float, float, bool, str]:
    """Measured levels first; among equals the cheapest, then one that runs here."""
    return (
        _mean_level(expert),
        -(inf if expert.output_price is None else expert.output_price),
        expert.engine is not None,
        expert.name,
    )


def _fallback_preference(expert: Expert) -> tuple[bool, float, float, bool, str]:
    return expert.generalist, *_preference(expert)


def _mean_level(expert: Expert) -> float:
    levels = [level for skill, level in expert.skills.items() if skill != AGGREGATION]
    return sum(levels) / len(levels) if levels else 0.0


def _decision(
    query: Query,
    reading: Reading,
    forecasts: Sequence[Forecast],
    chosen: Forecast,
    policy: PolicyName,
) -> Decision:
    confidence = chosen.quality if policy != "out_of_distribution" else reading.ood_score
    return Decision(
        expert=chosen.expert,
        policy=policy,
        confidence=0.0 if confidence is None else confidence,
        reason=explained(query, reading, forecasts, chosen, policy),
        forecasts=ranked(forecasts),
        skills=reading.skills if reading.familiar else {},
        ood_score=reading.ood_score,
        requested_model=query.requested_model,
    )
