"""Who answers a request: one expert, or a panel where one is asked for and pays."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING

from collegium.errors import NoFeasibleExpert
from collegium.experts.aggregation.base import Member, Mode, Panel
from collegium.experts.aggregation.catalogue import make_mode
from collegium.experts.aggregation.single import Single
from collegium.experts.dispatch.attempts import MOST_ATTEMPTS
from collegium.experts.pool import Pool
from collegium.registry.expert import Expert
from collegium.router.decision import Decision, Query
from collegium.router.limits import STATE_PRICES
from collegium.router.pacing import Pacing
from collegium.router.panels.plan import Plan, Wish
from collegium.router.panels.profiles import Profiles
from collegium.web.protocols.chat_request import PANEL_MODELS
from collegium.web.serving.catalogue import Catalogue
from collegium.web.serving.current_router import CurrentRouter
from collegium.web.serving.lowered import Lowered
from collegium.web.serving.prepare import Prepared
from collegium.web.serving.recognition import Recognition
from collegium.web.serving.sessions import Sessions

if TYPE_CHECKING:
    from collegium.router.router import Availability, Router


@dataclass(frozen=True)
class Decided:
    """A request with who answers it, and how."""

    request: Prepared
    decision: Decision
    panel: Panel
    mode: Mode
    plan: Plan | None = None
    """Of a panel that was asked for, also where one expert turned out to be enough."""

    @cached_property
    def by_panel(self) -> bool:
        """Whether several experts make the answer."""
        return self.plan is not None and self.plan.mode != "single"


class Decider:
    """Asks the router, with what is known of the conversation and of who can be asked now."""

    def __init__(
        self,
        catalogue: Catalogue,
        router: CurrentRouter,
        pool: Pool,
        sessions: Sessions,
        profiles: Profiles,
        pacing: Pacing,
        recognition: Recognition,
        lowered: Lowered | None = None,
    ) -> None:
        self._lowered = lowered or Lowered()
        self._pacing = pacing
        self._catalogue = catalogue
        self._router = router
        self._pool = pool
        self._sessions = sessions
        self._profiles = profiles
        self._recognition = recognition

    async def decide(self, request: Prepared, unavailable: Availability | None = None) -> Decided:
        """Raises as the router does, ExpertBusy where only the present load breaks the limits.

        `unavailable` says who can't answer: by default as the pool is now, and engines that take
        turns are waited for as it forecasts.
        """
        experts = await self._catalogue.now()
        query = self._recognition.recognised(request.query, experts)
        request = replace(request, query=query)
        permitted = self._recognition.permitted(query, experts)
        if request.wish is not None:
            return await self._by_panel(request, request.wish, permitted, unavailable)
        if request.session is not None:
            known = await self._sessions.expert(request.owner, request.session)
            query = replace(query, session_expert=known)
            request = replace(request, query=query)
        decision = await self._decision(query, permitted, unavailable, request)
        return _alone(request, decision, experts, instead=_may_fail_over(request, decision))

    async def as_decided(self, request: Prepared, decision: Decision) -> Decided:
        """The expert of an earlier decision answers, and nobody else."""
        return _alone(request, decision, await self._catalogue.now())

    async def in_shadow(self, decided: Decided) -> Decision | None:
        """What the router that is tried in the shadow decides; None where there is none."""
        router, query = self._router.shadow, decided.request.query
        if router is None or decided.plan is not None:
            return None
        experts = await self._catalogue.now()
        query, able = self._priced(query, self._recognition.permitted(query, experts))
        return await router.decide(query, able, self._pool.unavailable, self._pool.waits)

    async def _decision(
        self,
        query: Query,
        experts: Sequence[Expert],
        unavailable: Availability | None,
        request: Prepared,
    ) -> Decision:
        waits = self._pool.waits if unavailable is None else None
        who_not = unavailable or partial(self._pool.unavailable, caller=request.terms.caller)
        query, experts = self._priced(query, experts)
        router = self._router.of(query.application, request.session)
        decision = await router.decide(query, experts, who_not, waits)
        if query.application is not None:
            self._pacing.decided(query.application, decision.forecasts)
        return decision

    def _priced(self, query: Query, experts: Sequence[Expert]) -> tuple[Query, Sequence[Expert]]:
        """The query and experts with what the moment adds: open alarms and budgets."""
        if self._lowered.by_expert:
            query = replace(query, lowered=self._lowered.by_expert)
        if price := self._pacing.price(query.application):
            query = replace(query, price=price)
        if self._pacing.budget(query.application or "") is not None:
            experts = _of_known_price(experts, query)
        return query, experts

    async def _by_panel(
        self,
        request: Prepared,
        wish: Wish,
        experts: Sequence[Expert],
        unavailable: Availability | None,
    ) -> Decided:
        """Let the router forecast every expert, then plan the panel."""
        query = request.query
        limits, name = query.limits, query.requested_model
        routed = "auto" if name in PANEL_MODELS else name
        # The panel as a whole has to be good enough, not each of its members.
        alone = replace(query, limits=replace(limits, min_quality=None), requested_model=routed)
        try:
            decision = await self._decision(alone, experts, unavailable, request)
        except NoFeasibleExpert:
            if wish.mode == "auto" or limits.max_cost_usd is None:
                raise
            # Nobody is cheap enough alone: let the plan say what the cheapest panel costs.
            free = replace(alone, limits=replace(alone.limits, max_cost_usd=None))
            decision = await self._decision(free, experts, unavailable, request)
        found = await self._planned(request, wish, alone, decision, experts, unavailable)
        if found.mode == "single":
            if limits.min_quality is not None:  # one expert has to be good enough by itself
                good = replace(query, requested_model=routed)
                decision = await self._decision(good, experts, unavailable, request)
            reason = f"{decision.reason} {found.reason}"
            told = replace(decision, reason=reason, requested_model=name)
            return _alone(request, told, experts, plan=found)
        whole = _of_panel(decision, found, name)
        return Decided(request, whole, found.panel, make_mode(found.mode, found.options), found)

    async def _planned(
        self,
        request: Prepared,
        wish: Wish,
        alone: Query,
        decision: Decision,
        experts: Sequence[Expert],
        unavailable: Availability | None,
    ) -> Plan:
        from collegium.router.panels.planning import plan, too_busy  # when a panel is wanted

        router = self._router.get()
        wish = self._informed(wish, router)
        limits, tokens = request.query.limits, request.query.prompt_tokens or 1

        def plan_on(candidates: Decision) -> Plan:
            return plan(wish, candidates, experts, limits, self._profiles, tokens)

        try:
            return plan_on(decision)
        except NoFeasibleExpert:
            waits = self._pool.waits if unavailable is None else None
            idle = await router.at_rest(decision, alone, experts, waits)
            at_rest = plan_on(idle)  # raises again where nobody ever would
            raise too_busy(at_rest, decision, idle) from None

    def _informed(self, wish: Wish, router: Router) -> Wish:
        """The wish with what this service has measured of texts and panels."""
        options = replace(
            wish.options, similarity=router.similarity, confidence=self._profiles.confidence
        )
        return replace(wish, options=options)


def _of_known_price(experts: Sequence[Expert], query: Query) -> list[Expert]:
    """The experts that a budget can account for: those of known price."""
    unknown = {e.name for e in experts if e.input_price is None or e.output_price is None}
    priced = [e for e in experts if e.name not in unknown]
    if query.requested_model in unknown or not priced:
        raise NoFeasibleExpert(
            f"The application '{query.application}' has a budget, and the price of "
            f"'{query.requested_model}' is unknown{STATE_PRICES}",
            "model",
        )
    return priced


def _alone(
    request: Prepared,
    decision: Decision,
    experts: Sequence[Expert],
    *,
    instead: Sequence[str] = (),
    plan: Plan | None = None,
) -> Decided:
    """The chosen expert answers, or one of those named if it fails before it begins."""
    wanted = (decision.expert, *instead)
    known = {expert.name: expert for expert in experts if expert.name in wanted}
    member = Member(known[decision.expert], instead=tuple(known[name] for name in instead))
    return Decided(request, decision, Panel((member,), stream=request.stream), Single(), plan)


def _may_fail_over(request: Prepared, decision: Decision) -> list[str]:
    """Who may answer instead of the chosen expert, best first; nobody where that was named."""
    allowed = request.failover
    if not (decision.policy != "named" if allowed is None else allowed):
        return []
    others = (f.expert for f in decision.forecasts if f.feasible and f.expert != decision.expert)
    return list(islice(others, MOST_ATTEMPTS - 1))


def _of_panel(decision: Decision, found: Plan, name: str) -> Decision:
    return replace(
        decision,
        expert=found.forecast.expert,
        policy="panel",
        confidence=found.forecast.quality or 0.0,
        reason=found.reason,
        forecasts=(found.forecast, *decision.forecasts),
        requested_model=name,
        # A name of its own: what people think of a panel teaches nothing of the expert drawn.
        id=f"dec_{secrets.token_hex(12)}",
        propensity=1.0,
    )


def members_of(decided: Decided) -> list[Expert]:
    """Everybody who is asked, the aggregator included."""
    aggregator = decided.panel.aggregator
    seats = [*decided.panel.members, *([aggregator] if aggregator else [])]
    return [member.expert for member in seats]
