"""Plan a panel: members, aggregator, expected quality and cost, within the caller's limits."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from collegium.errors import BadRequest, ExpertBusy, NoFeasibleExpert
from collegium.experts.aggregation.base import Member, Panel
from collegium.experts.aggregation.catalogue import mode_kind, usable_modes
from collegium.experts.aggregation.options import Options
from collegium.registry.expert import AGGREGATION, Expert
from collegium.router.decision import Decision, Forecast, Limits
from collegium.router.limits import mark
from collegium.router.panels.plan import Plan, Wish
from collegium.router.panels.profiles import Profile, Profiles, price, worth
from collegium.router.panels.recruiting import recruit
from collegium.router.panels.taking import aggregations, calls, panel_forecast
from collegium.router.policy import cost, quality

COST = "max_cost_usd:"
"""Prefix of the note on a forecast that exceeds the cost limit."""
SAMPLING = 0.7
"""Temperature of samples of one expert, as in the self-consistency and Self-MoA papers."""


def plan(
    wish: Wish,
    decision: Decision,
    experts: Sequence[Expert],
    limits: Limits,
    profiles: Profiles,
    prompt_tokens: int,
) -> Plan:
    """Return the panel; raise NoFeasibleExpert if the limits allow none.

    `decision` is the router's on the same query: its forecasts are the candidates.
    """
    planner = _Planner(
        wish, decision, {e.name: e for e in experts}, limits, profiles, prompt_tokens
    )
    return planner.auto() if wish.mode == "auto" else planner.named(wish.mode)


def too_busy(at_rest: Plan, now: Decision, idle: Decision) -> ExpertBusy:
    """Return the error if a panel only satisfies the limits without load.

    To come back when the one that has most to do has done it.
    """
    seats = [*at_rest.panel.members, *filter(None, [at_rest.panel.aggregator])]
    names = {member.expert.name for member in seats}
    now_ms = {f.expert: f.latency_ms for f in now.forecasts}
    late_ms = max(now_ms[f.expert] - f.latency_ms for f in idle.forecasts if f.expert in names)
    words = "it keeps the request's limits only when its experts have less to do"
    return ExpertBusy(at_rest.forecast.expert, words, max(1, math.ceil(late_ms / 1000)))


class _Planner:
    def __init__(
        self,
        wish: Wish,
        decision: Decision,
        experts: dict[str, Expert],
        limits: Limits,
        profiles: Profiles,
        prompt_tokens: int,
    ) -> None:
        self._wish = wish
        self._decision = decision
        self._experts = experts
        self._limits = limits
        self._profiles = profiles
        self._prompt_tokens = prompt_tokens

    def named(self, mode: str) -> Plan:
        """The mode that was asked for, with as many members as fit."""
        asked = self._wish.k or mode_kind(mode).seats
        fewest = asked if self._wish.k else min(2, asked)
        try:
            return self._largest(mode, asked, fewest)
        except NoFeasibleExpert:
            cheapest = self._of_the_cheapest(fewest)
            if cheapest is None:
                raise
        found = cheapest._plan(mode, fewest, self._wish.options, None)
        if broken := self._broken(found):
            raise _no_panel(mode, broken)
        return replace(found, reason=f"{found.reason} The limits leave the cheapest members.")

    def _largest(self, mode: str, asked: int, fewest: int) -> Plan:
        broken = ""
        for k in range(asked, fewest - 1, -1):
            found = self._plan(mode, k, self._wish.options, self._wish.cap)
            broken = self._broken(found)
            if not broken:
                less = "" if k == asked else f" The limits leave {k} members, not {asked}."
                return replace(found, reason=f"{found.reason}{less}")
        raise _no_panel(mode, broken)

    def _of_the_cheapest(self, k: int) -> _Planner | None:
        """Return a planner restricted to the cheapest experts; None if cost isn't the problem.

        Who breaks the limit on cost alone counts too: so a refusal names what the cheapest panel
        costs, and a request with just that limit is answered.
        """
        if self._limits.max_cost_usd is None or self._decision.policy == "named":
            return None
        wide = replace(self._limits, max_cost_usd=None, min_quality=None)
        able = [f for f in self._decision.forecasts if f.feasible or f.note.startswith(COST)]
        able = [structs.replace(f, feasible=True, note="") for f in able if f.most_usd is not None]
        able = [f for f in mark(able, wide) if f.feasible]
        able.sort(key=lambda f: (f.most_usd, -quality(f), f.expert))
        if not able:
            return None
        kept = [f for i, f in enumerate(able) if i < k or f.expert == self._wish.aggregator]
        decision = replace(self._decision, expert=able[0].expert, forecasts=tuple(kept))
        return _Planner(
            self._wish,
            decision,
            self._experts,
            self._limits,
            self._profiles,
            self._prompt_tokens,
        )

    def auto(self) -> Plan:
        """Return the most worthwhile measured mode that fits, or a single expert if none is."""
        best = max((quality(f) for f in self._decision.forecasts if f.feasible), default=-1.0)
        at_price = price(self._limits.tradeoff or 0.0)
        measured = self._profiles.at(best if best >= 0 else None)
        measured = tuple(p for p in measured if p.mode in usable_modes())
        for profile in sorted(measured, key=lambda p: -worth(p, at_price)):
            if worth(profile, at_price) <= 0:
                break
            if self._wish.verbatim and mode_kind(profile.mode).combines:
                continue
            if (found := self._measured(profile)) is not None:
                return found
        why = "no gain is expected of a panel here" if measured else "no panel was measured here"
        return self._single(f"One expert answers: {why}.")

    def _measured(self, profile: Profile) -> Plan | None:
        options = self._wish.options
        if profile.threshold is not None:
            options = replace(options, threshold=profile.threshold)
        try:
            found = self._plan(profile.mode, profile.k, options, profile.cap)
        except NoFeasibleExpert:
            return None
        if self._broken(found):
            return None
        gain = f"measured gain {profile.gain:+.1%} for {profile.cost:.1f} times the cost"
        return replace(found, reason=f"{found.reason} Chosen by itself: {gain}.")

    def _single(self, reason: str) -> Plan:
        chosen = self._decision.forecast
        member = Member(self._experts[chosen.expert], chosen.quality)
        panel = Panel((member,), timeout_s=self._timeout_s(), seed=self._wish.seed)
        return Plan("single", panel, chosen, self._wish.options, reason, 1)

    def _plan(self, mode: str, k: int, options: Options, cap: float | None) -> Plan:
        if mode == "single":
            return self._single(self._decision.reason)
        described = mode_kind(mode)
        one = described.one_expert or self._wish.samples
        seats = self._samples(mode, k) if one else self._recruits(mode, k, cap)
        members = tuple(member for _, member in seats)
        aggregator = None
        if aggregations(mode, len(members), options):
            aggregator = self._aggregator(members[0].expert.name if one else None)
        panel = Panel(
            members,
            None if aggregator is None else self._member(aggregator),
            self._quorum(mode, len(members)),
            self._timeout_s(aggregator),
            self._wish.seed,
        )
        forecasts = [forecast for forecast, _ in seats]
        forecast = panel_forecast(mode, forecasts, panel, aggregator, options, self._prompt_tokens)
        names = ", ".join(dict.fromkeys(f.expert for f in forecasts))
        who = f"{names}, {len(members)} samples" if one else names
        by = f"; {aggregator.expert} combines" if aggregator else ""
        reason = f"{described.text}: {who}{by}."
        return Plan(mode, panel, forecast, options, reason, calls(mode, len(members), options))

    def _recruits(self, mode: str, k: int, cap: float | None) -> list[tuple[Forecast, Member]]:
        """Different experts; a profile may have been measured with cheap ones only."""
        candidates = self._known_able(k)
        if cap is not None:
            most = cap * cost(self._decision.forecast)
            candidates = tuple(f for f in candidates if cost(f) <= most)
        found = recruit(candidates, k, correlation=self._profiles.correlation)
        if len(found) < (k if self._wish.k else min(2, k)):
            raise NoFeasibleExpert(
                f"A panel of {k} needs as many experts; {len(found)} can be asked within the "
                "limits. For samples of one expert set routing.panel.samples",
                "routing",
            )
        if mode == "cascade":
            found = tuple(sorted(found, key=lambda f: (cost(f), quality(f), f.expert)))
        return [(f, self._member(f)) for f in found]

    def _known_able(self, k: int) -> tuple[Forecast, ...]:
        """Return the candidates, without the uncertain ones if there are enough others."""
        sure = [f for f in self._decision.forecasts if f.feasible and not f.note]
        return tuple(sure) if len(sure) >= k else self._decision.forecasts

    def _samples(self, mode: str, k: int) -> list[tuple[Forecast, Member]]:
        """Return samples of the chosen expert."""
        chosen, wish = self._decision.forecast, self._wish
        varied = None if mode == "diverse_prompts" else SAMPLING
        temperature = wish.temperature if wish.temperature is not None else varied
        drawn = random.Random(wish.seed)
        seeds = [drawn.randrange(2**31) for _ in range(k)]
        member = self._member(chosen)
        return [(chosen, replace(member, temperature=temperature, seed=seed)) for seed in seeds]

    def _member(self, forecast: Forecast) -> Member:
        expert = self._experts[forecast.expert]
        return Member(expert, forecast.quality, self._wish.temperature)

    def _aggregator(self, one: str | None) -> Forecast:
        """Return the requested aggregator, or the only member, or the best measured one."""
        name = self._wish.aggregator or one
        if name is not None and name not in self._experts:
            raise BadRequest(f"routing.panel.aggregator: there is no expert '{name}'", "routing")
        able = [f for f in self._decision.forecasts if f.feasible and name in (None, f.expert)]
        if not able:
            raise NoFeasibleExpert(f"'{name}' can't aggregate within the limits", "routing")
        return max([f for f in able if not f.note] or able, key=self._aggregation)

    def _aggregation(self, forecast: Forecast) -> tuple[float, bool, float, float, str]:
        """Measured level first; who was never measured is behind, generalists before others."""
        expert = self._experts[forecast.expert]
        level = expert.skills.get(AGGREGATION, -1.0)
        return level, expert.generalist, quality(forecast), -cost(forecast), forecast.expert

    def _quorum(self, mode: str, members: int) -> int:
        """Half of the members, unless the caller says otherwise."""
        usual = 1 if mode in ("first", "cascade") else (members + 1) // 2
        quorum = self._wish.quorum or usual
        if quorum > members:
            raise BadRequest(f"routing.panel.quorum is {quorum} of {members} members", "routing")
        return quorum

    def _timeout_s(self, aggregator: Forecast | None = None) -> float | None:
        """Return the members' time limit: their own, or what the aggregator leaves."""
        limits = [self._wish.member_timeout_ms]
        if self._limits.max_latency_ms is not None:
            kept = 0.0 if aggregator is None else aggregator.latency_ms
            limits.append(max(self._limits.max_latency_ms - kept, self._limits.max_latency_ms / 2))
        known = [limit for limit in limits if limit is not None]
        return min(known) / 1000 if known else None

    def _broken(self, found: Plan) -> str:
        """Return the limit that the whole panel violates, in words; empty if there is none."""
        wish, tokens = self._wish, found.forecast.output_tokens + found.calls * self._prompt_tokens
        if wish.max_calls is not None and found.calls > wish.max_calls:
            return f"max_calls: {found.calls} > {wish.max_calls}"
        if wish.max_total_tokens is not None and tokens > wish.max_total_tokens:
            return f"max_total_tokens: about {tokens} > {wish.max_total_tokens}"
        return mark([found.forecast], self._limits)[0].note


def _no_panel(mode: str, broken: str) -> NoFeasibleExpert:
    return NoFeasibleExpert(
        f"No panel for '{mode}' fits the limits: {broken}. Relax them, or ask for fewer "
        "members with routing.k",
        "routing",
    )
