"""Budgets of keys, teams and applications: reserve before a request is sent, settle after it.

What a request may take at most is reserved in shared counters (`registry/budgets/counters.py`) and
written with its decision; when its outcome is in the log, what it took takes that place. A process
that is killed leaves its requests at what they held: others find them, and say so in the log. So
the counters show what the log says, and are made from it where they are lost.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from collegium.errors import BadRequest
from collegium.experts.clients.reply import Call
from collegium.registry.background import Repeating
from collegium.registry.budgets.counters import Charge, Granted, Wanted
from collegium.registry.budgets.ledger import Amounts, taken
from collegium.registry.budgets.limits import EACH, NANO, BudgetRegistry, Limit
from collegium.registry.clock import utc_now
from collegium.registry.decisions.log import OutcomeRecord
from collegium.registry.key import Caller
from collegium.router.decision import Query
from collegium.router.pacing import Budget, Pacing
from collegium.web.serving.budget_counts import BudgetCounts
from collegium.web.serving.call_bounds import CallBounds
from collegium.web.serving.decide import Decided, application_of
from collegium.web.serving.hold import ALONE, MEASURED, NOTHING, Hold, Together
from collegium.web.serving.limits_in_force import LimitsInForce, names_of

WITHOUT_EXPERT = ("requests", "parallel")
"""Limits of requests that no expert answers: the service's own embeddings, decisions, counts."""
EVERY_S = 2.0
"""Between two looks at the limits that were set, and at requests whose process is gone."""
FAILING = "budgets are not brought up to date for now"


class Budgets:
    """Admits the requests that their limits allow, and counts what is left."""

    def __init__(
        self,
        registry: BudgetRegistry,
        counts: BudgetCounts,
        limits: LimitsInForce,
        pacing: Pacing,
        bounds: CallBounds,
        least_tokens: int,
    ) -> None:
        self.bounds = bounds
        self.least_tokens = least_tokens
        self.counts = counts
        self.limits = limits
        self._registry = registry
        self._pacing = pacing
        self._loops = [
            Repeating(work, EVERY_S, name=name, failing=FAILING)
            for work, name in ((counts.sweep, "lost requests"), (self.read, "limits"))
        ]

    async def open(self) -> None:
        """Take over the limits, and follow them from then on."""
        await self.read()
        for loop in self._loops:
            loop.start()

    async def close(self) -> None:
        """Follow them no more."""
        for loop in self._loops:
            await loop.close()
        await self.counts.aclose()

    async def shares(self) -> dict[Limit, float]:
        """How much of each limit is used or reserved, from 0 to 1."""
        found = [*self.limits.given(), *self.limits.policies().values()]
        counted = [x for x in found if x.metric in MEASURED and x.name != EACH and x.amount]
        levels = await self.counts.levels(counted)
        return {x: level.used / x.amount for x, level in zip(counted, levels, strict=True)}

    async def read(self) -> None:
        """Take over the limits that the operator has set."""
        self.limits.put(await self._registry.list())

    async def follow(
        self,
        policies: Mapping[str, Mapping[str, Any]],
        regrouped: Iterable[str],
        members: Callable[[str], Sequence[str]],
    ) -> None:
        """Take over the budgets of applications' policies; count anew for what was regrouped.

        `members` are the applications whose requests count for one.
        """
        self.counts.members = members
        for key, policy in policies.items():
            self.limits.policy(key, _limit(key, policy))
        groups = set(regrouped)
        given = self.limits.policies()
        await self.counts.drop([given[key] for key in sorted(groups) if key in given])

    async def reserve(self, decided: Decided, together: Together = ALONE) -> Decided:
        """Return the request with its reservation; raise LimitReached or BadRequest if it isn't
        allowed.

        One of several prompts, which are reserved for `together`, does not count for the limit of
        parallel requests by itself.
        """
        limits = self.limits.of(names_of(decided.request.caller, application_of(decided)))
        if together is not ALONE:
            limits = tuple(limit for limit in limits if limit.metric != "parallel")
        if not limits:
            return decided
        _check(decided, limits)
        query = decided.request.query
        hold = Hold(decided.decision.id, limits, utc_now(), query, self, together)
        try:
            if decided.from_cache:
                await hold.begin_cached()
            elif decided.by_panel:
                await hold.begin_whole(_forecast(decided))
            else:
                panel = decided.panel
                body, expert = decided.request.body, panel.members[0].expert
                await hold.begin(Call(expert, body, native=panel.native))
        except BaseException:  # where something is held nevertheless, a sweep finds it
            self.counts.forget(hold)
            raise
        if together is not ALONE:
            together.holds.append(hold)
        return replace(decided, hold=hold)

    @asynccontextmanager
    async def admitted(
        self,
        caller: Caller,
        *,
        metrics: Collection[str] = WITHOUT_EXPERT,
        application: str | None = None,
        tokens: int = 0,
        decision: str | None = None,
    ) -> AsyncGenerator[Mapping[str, str]]:
        """Count a request that makes no single decision by an expert; yields limit headers.

        It counts as a request and as one in flight, as far as these are among the `metrics`, and
        for its `tokens`, if it has any: for its key and its team, and its `application` if given.
        Raises `LimitReached`.
        """
        found = self.limits.of(names_of(caller, application))
        counted = {*metrics, "tokens"} if tokens else metrics
        limits = [limit for limit in found if limit.metric in counted]
        if not limits:
            yield {}
            return
        id = decision or f"adm_{secrets.token_hex(12)}"
        hold = Hold(id, limits, utc_now(), Query(""), self)
        hold.asked = True
        takes = Amounts(tokens=tokens)
        try:
            await hold.begin_whole(takes)
        except BaseException:
            self.counts.forget(hold)
            raise
        try:
            yield hold.headers()
        finally:
            await self.counts.settle(hold, takes)

    async def release(self, hold: Hold) -> None:
        """Release a reservation for which nothing was sent or logged, if it is not released yet."""
        if self.counts.knows(hold):
            await self.counts.settle(hold, NOTHING)

    async def settle(self, hold: Hold, record: OutcomeRecord) -> None:
        """The outcome is in the log."""
        await self.counts.settle(hold, taken(record, hold.amounts))

    async def grow(self, hold: Hold, charges: Sequence[Charge], want: Wanted) -> Granted:
        """Reserve; what replicas spent together is what prices are found from."""
        granted = await self.counts.grow(hold, charges, want)
        for limit, level in zip(hold.limits, granted.levels, strict=True):
            if limit.metric == "usd":
                self._pacing.spent(limit.id, (level.used - level.held) / NANO)
        return granted

    async def holds_more(self, hold: Hold) -> None:
        """Write it down before anything is asked."""
        await self.counts.holds_more(hold)


def _limit(key: str, policy: Mapping[str, Any]) -> Limit | None:
    budget = Budget.of(policy)
    if budget is None:
        return None
    return Limit("application", key, "usd", budget.window, round(NANO * budget.usd))


def _check(decided: Decided, limits: Sequence[Limit]) -> None:
    """Refuse what no waiting makes possible."""
    asked = {"n": decided.request.query.choices}
    if decided.by_panel:
        asked["panel"] = len(decided.panel.members)
    fields = {"n": "n", "panel": "routing.k"}
    for limit in limits:
        if (number := asked.get(limit.metric, 0)) > limit.amount:
            raise BadRequest(
                f"The {limit.scope} '{limit.name}' may ask for at most {limit.amount} "
                f"{'choices' if limit.metric == 'n' else 'members of a panel'}, not {number}",
                fields[limit.metric],
            )


def _forecast(decided: Decided) -> Amounts:
    """Return the upper forecast of a panel's usage."""
    forecast = decided.decision.forecast
    usd = forecast.cost_usd if forecast.most_usd is None else forecast.most_usd
    joules = round(1000 * (forecast.energy_j or 0.0))
    return Amounts(round(NANO * (usd or 0.0)), forecast.most_tokens, joules, requests=0)
