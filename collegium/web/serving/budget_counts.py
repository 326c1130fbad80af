"""Counters of limits, consistent with the log: seeded from it, and reconciled after a crash."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from collegium.errors import CollegiumError, LimitReached
from collegium.registry.budgets.counters import Charge, Counters, Granted, Level, Missing, Wanted
from collegium.registry.budgets.ledger import Amounts, BudgetLedger
from collegium.registry.budgets.limits import COUNTED, Limit
from collegium.registry.clock import utc_now
from collegium.registry.decisions.log import DecisionLog, OutcomeRecord
from collegium.web.serving.hold import NOTHING, Hold
from collegium.web.serving.limits_in_force import counter_of, expires_s, metric_of, span_of
from collegium.web.serving.reached import reached

log = logging.getLogger(__name__)
UNUSED_S = 60.0
"""A request that was reserved for and is not asked by then will not be."""
TRIES = 20
"""The maximum number of attempts to seed a counter that keeps disappearing."""


class BudgetCounts:
    """The usage of limits, and the requests of this process that have reservations."""

    def __init__(
        self,
        counters: Counters,
        ledger: BudgetLedger,
        decisions: DecisionLog,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.members: Callable[[str], Sequence[str]] = lambda application: (application,)
        """Applications whose usage counts together, because they were merged."""
        self._counters = counters
        self._ledger = ledger
        self._log = decisions
        self._clock = clock or utc_now
        self._live: dict[str, Hold] = {}
        self._seeding: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def grow(self, hold: Hold, charges: Sequence[Charge], want: Wanted) -> Granted:
        """Reserve; raise LimitReached if too little is left."""
        self._live[hold.id] = hold
        for _ in range(TRIES):
            found = await self._counters.reserve(hold.id, charges, want)
            if isinstance(found, Granted):
                return found
            limit, charge = hold.limits[found.place], charges[found.place]
            if not isinstance(found, Missing):
                own = hold.own(found.place)
                raise self._reached(limit, charge.amount(want.least), found.level, own)
            await self._seed(limit, charge.counter, hold.at)
        raise CollegiumError(f"the counter of {limit.id} was lost {TRIES} times")

    def _reached(self, limit: Limit, needed: int, level: Level, own: int) -> LimitReached:
        return reached(limit, needed, level, self._clock(), own=own)

    async def holds_more(self, hold: Hold) -> None:
        """Store a grown reservation with the decision: after a crash it counts as used."""
        await self._ledger.holds(hold.id, hold.amounts)

    async def aclose(self) -> None:
        """Let go of the counters."""
        await self._counters.aclose()

    def knows(self, hold: Hold) -> bool:
        """Whether it holds something that is still to be settled."""
        return hold.id in self._live

    def forget(self, hold: Hold) -> None:
        """Drop a request for which nothing could be reserved."""
        self._live.pop(hold.id, None)

    async def settle(self, hold: Hold, took: Amounts) -> None:
        """Replace the reservation by the actual usage, after that has been logged.

        Where the counters are away, a sweep settles it when they are back.
        """
        self._live.pop(hold.id, None)
        if not hold.counters:
            return
        try:
            await self._counters.settle(hold.id, hold.settled(took))
        except CollegiumError as exc:
            log.warning("a request is settled later: %s", exc)

    async def levels(self, limits: Sequence[Limit]) -> list[Level]:
        """Return the usage of limits in their open windows."""
        now = self._clock()
        counters = [counter_of(limit, now) for limit in limits]
        found = await self._counters.levels(counters)
        for limit, counter, level in zip(limits, counters, found, strict=True):
            if level is None:
                await self._seed(limit, counter, now)
        if None in found:
            found = await self._counters.levels(counters)
        return [level or Level(0, 0) for level in found]

    async def drop(self, limits: Sequence[Limit]) -> None:
        """Have counters seeded anew: what counts for them has changed."""
        now = self._clock()
        await self._counters.drop([counter_of(limit, now) for limit in limits])

    async def sweep(self) -> None:
        """Settle requests whose process is gone, and those of this one that were never asked."""
        await self._give_up_unused()
        lapsed = {
            each.hold: each.counters
            for each in await self._counters.held()
            if (each.hold not in self._live if each.own else not each.alive)
        }
        if not lapsed:
            return
        await self._log.interrupt(lapsed)
        took = await self._ledger.taken(lapsed)
        for hold, counters in lapsed.items():
            amounts = took.get(hold, NOTHING)  # one without a decision was never asked
            await self._counters.settle(hold, _by_counter(counters, amounts), lapsed=True)

    async def _give_up_unused(self) -> None:
        for hold in list(self._live.values()):
            if hold.asked or hold.waits or (self._clock() - hold.at).total_seconds() < UNUSED_S:
                continue
            del self._live[hold.id]
            try:
                await self._log.finish(
                    OutcomeRecord(hold.id, "cancelled", None, 0, 0, cost_usd=0.0, energy_j=0.0)
                )
            except CollegiumError as exc:
                log.info("a request that was never asked is not in the log: %s", exc)

    async def _seed(self, limit: Limit, counter: str, now: datetime) -> None:
        async with self._seeding[counter]:
            number, holds = await self._counters.holding(counter)
            (level,) = await self._counters.levels([counter])
            if level is None:
                used = await self._used(limit, now, holds)
                await self._counters.seed(counter, used, number, expires_s(limit, now))
        if not self._seeding[counter].locked():
            del self._seeding[counter]

    async def _used(self, limit: Limit, now: datetime, but: Sequence[str]) -> int:
        """Return the usage of ended requests according to the log."""
        if limit.metric not in COUNTED:
            return 0
        by_application = limit.scope == "application"
        names = self.members(limit.name) if by_application else (limit.name,)
        since, until = span_of(limit, now)
        return await self._ledger.used(limit.scope, names, limit.metric, since, until, but=but)


def _by_counter(counters: Sequence[str], amounts: Amounts) -> Mapping[str, int]:
    return {counter: getattr(amounts, metric_of(counter), 0) for counter in counters}
