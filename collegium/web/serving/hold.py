"""A request's reservations in the budgets that apply to it, until they are settled.

It holds exactly what its calls may take: those that ended at what they took, those under way at
their bounds. A panel holds its forecast from the beginning on, as far as its calls need no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Protocol

from collegium.errors import NoFeasibleExpert
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.reply import Call
from collegium.experts.presets import TIER, tier_of
from collegium.experts.pricing import tier_is_priced
from collegium.registry.budgets.counters import MILLION, Charge, Granted, Level, Wanted
from collegium.registry.budgets.ledger import Amounts
from collegium.registry.budgets.limits import Limit
from collegium.registry.expert import Expert
from collegium.router.decision import Query
from collegium.router.limits import STATE_PRICES
from collegium.web.serving.call_bounds import Bound, CallBounds, beside, limited
from collegium.web.serving.limit_headers import limit_headers
from collegium.web.serving.limits_in_force import counter_of, expires_s

NOTHING = Amounts(requests=0)


@dataclass(frozen=True)
class Together:
    """The answers to the prompts of one request: they are one request in flight, and share what
    one request may have of a budget.
    """

    count: int
    holds: list[Hold] = field(default_factory=list)
    """Their reservations so far."""


ALONE = Together(1)


class Reserving(Protocol):
    """The operations that a reservation needs of the budgets."""

    bounds: CallBounds
    least_tokens: int

    async def grow(self, hold: Hold, charges: Sequence[Charge], want: Wanted) -> Granted:
        """Reserve; raises `LimitReached`."""

    async def holds_more(self, hold: Hold) -> None:
        """Store a changed reservation before anything is sent."""


class Hold:
    """One request's share of its budgets."""

    def __init__(
        self,
        id: str,
        limits: Sequence[Limit],
        at: datetime,
        query: Query,
        budgets: Reserving,
        together: Together = ALONE,
    ) -> None:
        self.id = id
        self.at = at
        """The moment that says in which windows it counts."""
        self.limits = tuple(limit for limit in limits if limit.metric in MEASURED)
        self.counters = tuple(counter_of(limit, at) for limit in self.limits)
        self.asked = False
        """Whether its outcome will be settled."""
        self.waits = False
        """Whether somebody sees to it that it is asked or released, however long that takes."""
        self.amounts = NOTHING
        self.levels: Sequence[Level] = ()
        """The counters' levels at the last reservation."""
        self._query = query
        self._budgets = budgets
        self._together = together
        self._metrics = {limit.metric for limit in self.limits}
        caps = [limit.amount for limit in limits if limit.metric == "max_tokens"]
        self._cap = min(caps, default=None)
        self._calls: dict[int, Amounts] = {}
        """For each seat: the usage of its ended attempts, and the bound of the others."""
        self._first: tuple[str, int, Bound] | None = None

    async def begin(self, call: Call) -> None:
        """Reserve for a request's only call."""
        bound = self._bound(call)
        tokens = await self._grow(NOTHING, bound, requests=1)
        self._first = call.expert.name, tokens, bound

    async def begin_whole(self, forecast: Amounts) -> None:
        """Reserve what all of a request is forecast to take at most."""
        flat = Bound(forecast.usd, 0, forecast.tokens, 0, 0, 0, 0, explicit=True)
        await self._grow(replace(forecast, usd=0, tokens=0), flat, requests=1)

    async def begin_cached(self) -> None:
        """Reserve for a request whose answer is there: it counts, and takes nothing."""
        await self.begin_whole(NOTHING)

    def admission(self, seat: int) -> Admission:
        """Return the gate for the attempts of one call."""
        return Admission(self, seat)

    async def admit(
        self, call: Call, before: Amounts, running: Amounts
    ) -> tuple[Call, Amounts, str | None]:
        """Return the call as the budgets allow it, its bound, and what was adjusted.

        `before` is what the call's ended attempts took, `running` what others of it may take.
        """
        first, self._first = self._first, None
        if first is not None and first[0] == call.expert.name:
            _, tokens, bound = first
        else:
            bound = self._bound(call)
            others = [amounts for seat, amounts in self._calls.items() if seat != call.seat]
            whole = sum(others, before + running)
            had = self.amounts
            tokens = await self._grow(whole, bound)
            if had != self.amounts:
                await self._budgets.holds_more(self)
        amounts = _with_tokens(bound, tokens)
        self._calls[call.seat] = before + running + amounts
        if bound.wish == 0 or (bound.explicit and tokens >= bound.wish):
            return call, amounts, None
        return limited(call, tokens), amounts, f"max_tokens={tokens}"

    def took(self, seat: int, amounts: Amounts) -> None:
        """A call, or all of its attempts so far, has ended."""
        self._calls[seat] = amounts

    def headers(self) -> dict[str, str]:
        """Return the headers that describe the caller's limits."""
        return limit_headers(self.limits, self.levels, self.at)

    def own(self, place: int) -> int:
        """Return what the request holds in the counter of this place, for all of its prompts."""
        counter, metric = self.counters[place], self.limits[place].metric
        held = [self, *(each for each in self._together.holds if counter in each.counters)]
        return sum(getattr(each.amounts, metric, 0) for each in held)

    def settled(self, took: Amounts) -> Mapping[str, int]:
        """Return the request's actual usage, by counter."""
        return {
            counter: getattr(took, limit.metric, 0)
            for limit, counter in zip(self.limits, self.counters, strict=True)
        }

    async def _grow(self, whole: Amounts, bound: Bound, *, requests: int = 0) -> int:
        """Grow the reservation to `whole` and one more call; return the tokens per choice that it
        covers.
        """
        wish = bound.wish if self._cap is None else min(bound.wish, self._cap)
        least = min(wish, self._budgets.least_tokens)
        usual = max(min(wish, bound.usual), least)
        if self._metrics.isdisjoint(MEASURED):
            return wish
        need = whole + _with_tokens(bound, wish)
        held = self.amounts
        if not requests and all(getattr(need, m) <= getattr(held, m) for m in TAKEN):
            return wish
        base = {
            "usd": whole.usd + (bound.usd or 0) - held.usd,
            "tokens": whole.tokens + bound.tokens - held.tokens,
            "joules": whole.joules - held.joules,
            "requests": requests,
            "parallel": requests,
        }
        per_million = {
            "usd": bound.usd_per_million,
            "tokens": bound.choices * MILLION,
            "joules": bound.joules_per_million,
        }
        charges = [
            Charge(
                counter,
                limit.amount,
                base[limit.metric],
                per_million.get(limit.metric, 0),
                expires_s(limit, self.at),
            )
            for limit, counter in zip(self.limits, self.counters, strict=True)
        ]
        want = Wanted(least, usual, wish, self._together.count)
        granted = await self._budgets.grow(self, charges, want)
        self.levels = granted.levels
        self.amounts = replace(whole + _with_tokens(bound, granted.tokens), requests=1)
        return granted.tokens

    def _bound(self, call: Call) -> Bound:
        prompt = prompt_tokens(call.body, model=call.expert.model)
        if call.role == "member" and not self._calls:
            prompt = max(prompt, self._query.prompt_tokens or 0)
        prompt += beside(call)
        bound = self._budgets.bounds.of(call.expert, self._query, prompt, call.native)
        if bound.usd is None and "usd" in self._metrics:
            raise unknown_price(call.expert, self._query.service_tier)
        return bound


class Admission:
    """Lets the attempts of one call pass, and keeps what each may take."""

    def __init__(self, hold: Hold, seat: int) -> None:
        self._hold = hold
        self._seat = seat
        self._running: dict[str, list[Amounts]] = {}
        """By expert: a slow one may be hedged by a second call."""
        self.adjusted: dict[str, str] = {}
        """The adjustments to its attempt, by the expert's name."""

    async def admit(self, call: Call, lost: Amounts) -> Call:
        """Return the call as the budgets allow it; raise LimitReached if they don't."""
        running = sum(chain.from_iterable(self._running.values()), NOTHING)
        call, amounts, told = await self._hold.admit(call, lost, running)
        self._running.setdefault(call.expert.name, []).append(amounts)
        if told is not None:
            self.adjusted[call.expert.name] = told
        return call

    def failed(self, expert: Expert) -> None:
        """Report an attempt that failed: its loss is accounted for with the next one."""
        if attempts := self._running.get(expert.name):
            attempts.pop()

    def ended(self, took: Amounts) -> None:
        """The call has ended."""
        self._hold.took(self._seat, took)


TAKEN = ("usd", "tokens", "joules")
MEASURED = (*TAKEN, "requests", "parallel")
"""Limits that have a counter."""


def unknown_price(expert: Expert, asked: str | None) -> NoFeasibleExpert:
    """Return the error for a dollar budget that can't count an expert's answers.

    `asked` is the service tier that the request names.
    """
    binds, tier = "A budget in dollars binds this request, and", tier_of(expert, asked)
    if not tier_is_priced(expert, tier):
        options = f"--price input_{tier}=… --price output_{tier}=…"
        return NoFeasibleExpert(
            f"{binds} '{expert.name}' has no price of the service tier '{tier}'; set it with "
            f"`collegium expert update NAME {options}`, or leave out `{TIER}`",
            TIER if asked is not None else "model",
        )
    return NoFeasibleExpert(
        f"{binds} the price of '{expert.name}' is unknown{STATE_PRICES}", "model"
    )


def _with_tokens(bound: Bound, tokens: int) -> Amounts:
    """Return the call's upper bound at this many tokens per choice."""
    return Amounts(
        (bound.usd or 0) - (-bound.usd_per_million * tokens // MILLION),
        bound.tokens + bound.choices * tokens,
        -(-bound.joules_per_million * tokens // MILLION),
        requests=0,
    )
