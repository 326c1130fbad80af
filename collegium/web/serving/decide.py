"""Decide which expert answers a request, or which panel if one is requested and worth it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING

from collegium.errors import NoFeasibleExpert
from collegium.experts.aggregation.base import Member, Mode, Panel
from collegium.experts.aggregation.catalogue import make_mode
from collegium.experts.aggregation.single import Single
from collegium.experts.clients.endpoints import able
from collegium.experts.dispatch.attempts import MOST_ASKED
from collegium.experts.pool import Pool
from collegium.experts.presets import tier_of
from collegium.experts.pricing import tier_is_priced
from collegium.registry.budgets.limits import Limit
from collegium.registry.expert import Expert
from collegium.router.decision import Decision, Query
from collegium.router.pacing import Budget, Pacing
from collegium.router.panels.plan import Plan, Wish
from collegium.router.panels.profiles import Profiles
from collegium.web.protocols.chat_request import panel_models
from collegium.web.serving.aliases import Aliases
from collegium.web.serving.catalogue import Catalogue
from collegium.web.serving.current_router import CurrentRouter
from collegium.web.serving.hold import Hold, unknown_price
from collegium.web.serving.limits_in_force import LimitsInForce, names_of
from collegium.web.serving.lowered import Lowered
from collegium.web.serving.permissions import check_application, naming_rule, permitted
from collegium.web.serving.prepare import Prepared, renamed
from collegium.web.serving.priced_fields import by_tokens, with_known_presets
from collegium.web.serving.recognition import Recognition
from collegium.web.serving.sessions import Kept, Sessions

if TYPE_CHECKING:
    from collegium.router.router import Availability, Router
    from collegium.web.serving.lookup import Lookup


@dataclass(frozen=True)
class Decided:
    """A request with who answers it, and how."""

    request: Prepared
    decision: Decision
    panel: Panel
    mode: Mode
    plan: Plan | None = None
    """The plan of a requested panel, even if one expert turned out to be enough."""
    hold: Hold | None = None
    """The reservation; None if no limit applies, and before the decision is recorded."""
    lookup: Lookup | None = None
    """What the response cache had; None without a cache, and before the decision is recorded."""
    kept: Kept | None = None
    """What is remembered of the conversation: from before the request, and with it once the
    decision is recorded."""

    @property
    def from_cache(self) -> bool:
        """Whether the answer comes from the response cache, and no expert is asked."""
        return self.lookup is not None and self.lookup.answer is not None

    @cached_property
    def by_panel(self) -> bool:
        """Whether several experts make the answer."""
        return self.plan is not None and self.plan.mode != "single"


class Decider:
    """Asks the router, given the conversation and the experts that are available now."""

    def __init__(
        self,
        catalogue: Catalogue,
        router: CurrentRouter,
        pool: Pool,
        sessions: Sessions,
        profiles: Profiles,
        pacing: Pacing,
        recognition: Recognition,
        limits: LimitsInForce,
        lowered: Lowered | None = None,
        aliases: Aliases | None = None,
        budget_fields: Collection[str] = (),
    ) -> None:
        self._budget_fields = frozenset(budget_fields)
        self._lowered = lowered or Lowered()
        self._aliases = aliases or Aliases()
        self._pacing = pacing
        self._limits = limits
        self._catalogue = catalogue
        self._router = router
        self._pool = pool
        self._sessions = sessions
        self._profiles = profiles
        self._recognition = recognition

    async def decide(self, request: Prepared, unavailable: Availability | None = None) -> Decided:
        """Decide; raise the router's errors, or ExpertBusy if only the present load violates the
        limits.

        `unavailable` says who can't answer: by default as the pool is now, and engines that take
        turns are waited for as it forecasts.
        """
        experts, asked = await self._catalogue.now(), request.query.requested_model
        request = self._under_its_name(request, experts)
        model = request.query.requested_model
        experts = permitted(request.caller, experts, model, asked=asked)
        with naming_rule(request.caller):
            return await self._decide(request, experts, unavailable)

    async def _decide(
        self, request: Prepared, experts: Sequence[Expert], unavailable: Availability | None
    ) -> Decided:
        query = self._recognition.recognised(request.query, experts)
        check_application(request.caller, query.application)
        request = replace(request, query=query)
        request = self._by_tokens(request)
        known = self._recognition.permitted(query, experts)
        known = able(known, query.requested_model, request.native)
        if self._is_limited(request):
            known = with_known_presets(known, query.requested_model, self._budget_fields)
        if request.wish is not None:
            return await self._by_panel(request, request.wish, known, unavailable)
        query, kept = await self._sessions.recalled(request)
        request = replace(request, query=query)
        decision = await self._decision(query, known, unavailable, request)
        instead = _may_fail_over(request, decision)
        return _alone(request, decision, experts, instead=instead, kept=kept)

    def _by_tokens(self, request: Prepared) -> Prepared:
        """The request without what may change its price, where a limit in dollars binds it."""
        return by_tokens(request, self._budget_fields) if self._is_limited(request) else request

    def _is_limited(self, request: Prepared) -> bool:
        """Whether a limit in dollars binds the request."""
        query = request.query
        binds = request.in_dollars or query.limits.max_cost_usd is not None
        return binds or bool(self._budgets(request, query))

    def _under_its_name(self, request: Prepared, experts: Sequence[Expert]) -> Prepared:
        """Return the request with its model's alias resolved."""
        name = request.query.requested_model
        meant = self._aliases.resolve(name, experts)
        return request if meant == name else renamed(request, meant)

    async def as_decided(self, request: Prepared, decision: Decision) -> Decided:
        """Repeat an earlier decision, without alternatives."""
        experts = await self._catalogue.now()
        query = replace(request.query, application=decision.application)
        native = self._by_tokens(replace(request, query=query)).native
        request = replace(request, native=native)
        return _alone(request, decision, permitted(request.caller, experts, decision.expert))

    async def in_shadow(self, decided: Decided) -> Decision | None:
        """Return the decision of the router in shadow mode; None if there is none."""
        router, query = self._router.shadow, decided.request.query
        if router is None or decided.plan is not None:
            return None
        experts = permitted(decided.request.caller, await self._catalogue.now())
        known = self._recognition.permitted(query, experts)
        query, able = self._priced(query, known, decided.request)
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
        if request.failover and query.requested_model:
            who_not = _but(query.requested_model, who_not)
        query, experts = self._priced(query, experts, request)
        router = self._router.of(query.application, _together(request))
        decision = await router.decide(query, experts, who_not, waits)
        for budget in self._budgets(request, query):
            self._pacing.decided(budget.id, decision.forecasts)
        return decision

    def _priced(
        self, query: Query, experts: Sequence[Expert], request: Prepared
    ) -> tuple[Query, Sequence[Expert]]:
        """The query and experts with what the moment adds: alarms, refusals and budgets."""
        if self._lowered.by_expert:
            query = replace(query, lowered=self._lowered.by_expert)
        if lacking := self._pool.learned.lacking(experts, request.terms.caller):
            query = replace(query, lacking=lacking)
        if budgets := self._budgets(request, query):
            for limit in budgets:
                self._pacing.follow(limit.id, Budget(limit.shown, limit.window))
            if price := max(self._pacing.price(limit.id) for limit in budgets):
                query = replace(query, price=price)
            experts = _of_known_price(experts, query)
        return query, experts

    def _budgets(self, request: Prepared, query: Query) -> list[Limit]:
        """The limits of dollars that a request is under."""
        if not self._limits.exist:  # a request asks four times
            return []
        limits = self._limits.of(names_of(request.caller, query.application))
        return [limit for limit in limits if limit.metric == "usd"]

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
        routed = "auto" if name in panel_models() else name
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


def _together(request: Prepared) -> str | None:
    """The conversation whose requests one router decides."""
    conversation = request.conversation
    return conversation.key if conversation is not None and conversation.known else None


def _but(named: str, who_not: Availability) -> Availability:
    """Others may answer instead of an expert that was named: then it need not be available."""
    return lambda expert: None if expert.name == named else who_not(expert)


def _of_known_price(experts: Sequence[Expert], query: Query) -> list[Expert]:
    """The experts that a budget can account for: those of known price."""
    unknown = {e.name: e for e in experts if not _is_priced(e, query.service_tier)}
    priced = [e for e in experts if e.name not in unknown]
    named = unknown.get(query.requested_model)
    if named is None and unknown and not priced:
        named = next(iter(unknown.values()))
    if named is not None:
        raise unknown_price(named, query.service_tier)
    return priced


def _is_priced(expert: Expert, tier: str | None) -> bool:
    """Whether tokens have a price, also on the service tier that would be asked for."""
    known = expert.input_price is not None and expert.output_price is not None
    return known and tier_is_priced(expert, tier_of(expert, tier))


def _alone(
    request: Prepared,
    decision: Decision,
    experts: Sequence[Expert],
    *,
    instead: Sequence[str] = (),
    plan: Plan | None = None,
    kept: Kept | None = None,
) -> Decided:
    """The chosen expert answers, or one of those named if it fails before it begins."""
    wanted = (decision.expert, *instead)
    known = {expert.name: expert for expert in experts if expert.name in wanted}
    member = Member(known[decision.expert], instead=tuple(known[name] for name in instead))
    panel = Panel((member,), stream=request.stream, native=request.native)
    return Decided(request, decision, panel, Single(), plan, kept=kept)


def _may_fail_over(request: Prepared, decision: Decision) -> list[str]:
    """The experts that may answer instead of the chosen one, best first; none if it was named."""
    allowed = request.failover
    if not (decision.policy != "named" if allowed is None else allowed):
        return []
    others = (f.expert for f in decision.forecasts if f.feasible and f.expert != decision.expert)
    return list(islice(others, MOST_ASKED - 1))


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


def application_of(decided: Decided) -> str | None:
    """The application that a decided request counts for."""
    return decided.decision.application or decided.request.query.application


def members_of(decided: Decided) -> list[Expert]:
    """Return all experts of a panel, the aggregator included."""
    aggregator = decided.panel.aggregator
    seats = [*decided.panel.members, *([aggregator] if aggregator else [])]
    return [member.expert for member in seats]
