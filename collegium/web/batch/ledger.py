"""The budget of a bulk job: spent, reserved for lines in flight, and left.

Each reservation is written before its line is asked, and each line's cost before the line counts as
finished. A line that was in flight when the process was killed may have been billed: what was
reserved for it stays spent, and it is reserved anew when it is asked again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from collegium.errors import BudgetExhausted
from collegium.registry.bulk.journal import BatchJournal

GENEROUS = 4.0
"""How many times the 98th percentile of answer lengths is reserved if the budget allows it: no
answer was longer in 66,000 recorded ones. If less is left, the line's `max_tokens` is reduced to
what is reserved.
"""
LINES_AT_ONCE = 16
"""The number of lines among which the rest of the budget is shared."""
EXACT = 1e-9


@dataclass(frozen=True)
class Grant:
    """Dollars that a line may cost; `tight` if a longer answer would cost more."""

    usd: float
    tight: bool


class Ledger:
    """Spent and reserved money of one job; without a budget everything is granted."""

    def __init__(self, budget_usd: float | None, journal: BatchJournal) -> None:
        self.budget_usd = budget_usd
        self.spent = 0.0
        self._reserved: dict[int, float] = {}
        self._journal = journal
        self._change = asyncio.Condition()

    @property
    def reserved(self) -> float:
        """Dollars reserved for lines in flight."""
        return sum(self._reserved.values())

    @property
    def left(self) -> float:
        """Neither spent nor reserved."""
        return inf if self.budget_usd is None else self._unspent() - self.reserved

    async def recover(self) -> None:
        """Read what an earlier worker wrote."""
        async for data in self._journal.records("ledger"):
            record = json.loads(data)
            line = int(record["line"])
            if (cost := record.get("spent")) is not None:
                self._reserved.pop(line, None)
                self.spent += cost
            else:  # asked once more: the time before may have been billed
                self.spent += self._reserved.pop(line, 0.0)
                self._reserved[line] = record["reserved"]
        self.spent += self.reserved
        self._reserved.clear()

    async def reserve(
        self,
        line: int,
        most_usd: float | None,
        wish_usd: float | None = None,
        bound_usd: float | None = None,
    ) -> Grant:
        """Wait until a line's upper forecast fits; raise BudgetExhausted if it never will.

        As long as money may come back, `wish_usd` is waited for, where that is more. No more than
        `bound_usd` is reserved, which no answer exceeds.
        """
        if self.budget_usd is None:
            return Grant(most_usd or 0.0, tight=False)
        if most_usd is None:
            raise BudgetExhausted("the cost of this line can't be bounded", "routing")
        bound = inf if bound_usd is None else max(bound_usd, most_usd)
        enough = min(GENEROUS * most_usd, bound)
        wish = min(max(most_usd, wish_usd or 0.0), bound)
        async with self._change:
            while wish > self._room:
                if not self._reserved:
                    if most_usd > self._room:
                        raise self._exhausted(most_usd)
                    wish = max(self.left, most_usd)
                    break
                await self._change.wait()
            share = max(min(self.left / LINES_AT_ONCE, enough), wish)
            self._reserved[line] = share
        await self._write(line, reserved=share)
        return Grant(share, tight=0 < share < enough)

    async def settle(self, line: int, cost_usd: float | None) -> None:
        """Record what a line cost; if None, what was reserved counts as spent."""
        async with self._change:
            reserved = self._reserved.pop(line, 0.0)
            cost = reserved if cost_usd is None else cost_usd
            self.spent += cost
            self._change.notify_all()
        if self.budget_usd is not None:
            await self._write(line, spent=cost)

    def shown(self, rest_usd: float | None) -> Mapping[str, float | None]:
        """The amounts as the API shows them; `rest_usd` is the forecast for lines not asked yet."""
        return {
            "budget_usd": self.budget_usd,
            "spent_usd": self.spent,
            "reserved_usd": self.reserved,
            "forecast_rest_usd": rest_usd,
        }

    async def _write(self, line: int, **usd: float) -> None:
        await self._journal.append("ledger", json.dumps({"line": line, **usd}).encode())

    @property
    def _room(self) -> float:
        """The remaining budget, up to rounding errors of floats."""
        return self.left + EXACT * (self.budget_usd or 0.0)

    def _unspent(self) -> float:
        return (self.budget_usd or 0.0) - self.spent

    def _exhausted(self, most_usd: float) -> BudgetExhausted:
        return BudgetExhausted(
            f"the job's budget of {self.budget_usd:g} USD is exhausted: {self.spent:.6g} USD are "
            f"spent, and this line may cost {most_usd:.6g} USD",
            "routing.max_cost_usd",
        )
